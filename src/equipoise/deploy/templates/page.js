const fill = document.getElementById("fill");
const changed = [];
if (fill) {
  document.getElementById("control").hidden = false;
  fill.addEventListener("input", () => {
    document.documentElement.style.setProperty("--fill", fill.value);
    changed.forEach((draw) => draw());
  });
}
const held = document.getElementById("volume");
if (held) show(JSON.parse(held.textContent)).catch(() => {});

// The slices of a mosaic, one after the other: red of each pixel, which is grey.
async function sliced(name, { sides: [depth, height, width], across }) {
  const picture = document.getElementById(name);
  if (!picture.complete) await new Promise((there) => picture.addEventListener("load", there, { once: true }));
  const canvas = document.createElement("canvas");
  canvas.width = picture.naturalWidth;
  canvas.height = picture.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  context.drawImage(picture, 0, 0);
  const values = new Uint8Array(depth * height * width);
  for (let z = 0; z < depth; z++) {
    const { data } = context.getImageData((z % across) * width, Math.floor(z / across) * height, width, height);
    for (let i = 0; i < height * width; i++) values[z * height * width + i] = data[4 * i];
  }
  return values;
}

async function show(volume) {
  const grey = await sliced("grey", volume);
  const count = document.querySelectorAll("img.mask").length;
  const bits = await Promise.all([...Array(count).keys()].map((k) => sliced(`mask-${k}`, volume)));
  const colours = volume.colours.map((text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)));
  const strides = [volume.sides[1] * volume.sides[2], volume.sides[2], 1];
  const sliders = [];
  document.querySelectorAll("figure[data-axis]").forEach((figure) => {
    const axis = Number(figure.dataset.axis);
    const [down, along] = [0, 1, 2].filter((one) => one !== axis);
    const [rows, columns] = [volume.sides[down], volume.sides[along]];
    const size = [columns * volume.spacing[along], rows * volume.spacing[down]];
    const canvas = figure.querySelector("canvas");
    const marks = figure.querySelector("svg.marks");
    const slider = figure.querySelector("input");
    canvas.width = columns;
    canvas.height = rows;
    canvas.style.aspectRatio = `${size[0]} / ${size[1]}`;
    marks.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
    slider.max = volume.sides[axis] - 1;
    slider.value = volume.at[axis];
    sliders[axis] = slider;
    const turn = (index, side) => (volume.turned ? side - 1 - index : index);

    function draw() {
      const z = Number(slider.value);
      const alpha = fill ? Number(fill.value) : 0;
      const context = canvas.getContext("2d");
      const pixels = context.createImageData(columns, rows);
      const out = pixels.data;
      for (let y = 0, at = 0; y < rows; y++) {
        for (let x = 0; x < columns; x++, at += 4) {
          const [r, c] = [turn(y, rows), turn(x, columns)];
          const index = z * strides[axis] + r * strides[down] + c * strides[along];
          out[at] = out[at + 1] = out[at + 2] = grey[index];
          out[at + 3] = 255;
          for (let region = 0; alpha && region < colours.length; region++) {
            const [held, bit] = [bits[region >> 3], 1 << (region & 7)];
            if (!(held[index] & bit)) continue;
            const inside = r && c && r < rows - 1 && c < columns - 1 &&
              held[index - strides[down]] & held[index + strides[down]] &
              held[index - strides[along]] & held[index + strides[along]] & bit;
            const share = inside ? alpha : Math.max(alpha, 0.9);
            for (let k = 0; k < 3; k++) out[at + k] = share * colours[region][k] + (1 - share) * out[at + k];
          }
        }
      }
      context.putImageData(pixels, 0, 0);
      marks.replaceChildren(...volume.points.filter((point) => near(point, axis, z)).map((point) => circle(point)));
      figure.querySelector(".place").textContent = `plane ${z + 1} of ${volume.sides[axis]}`;
    }

    function near(point, cut, z) {
      return Math.abs(point[cut] - z) * volume.spacing[cut] <= Math.max(5, volume.spacing[cut] / 2);
    }

    function circle(point) {
      const made = document.createElementNS("http://www.w3.org/2000/svg", "circle");
      made.setAttribute("class", "mark");
      made.setAttribute("cx", (turn(point[along], columns) + 0.5) * volume.spacing[along]);
      made.setAttribute("cy", (turn(point[down], rows) + 0.5) * volume.spacing[down]);
      made.setAttribute("r", 0.02 * Math.max(...size));
      const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
      title.textContent = `candidate, ${point[3].toFixed(3)}`;
      made.append(title);
      return made;
    }

    slider.addEventListener("input", draw);
    canvas.parentElement.addEventListener("wheel", (event) => {
      event.preventDefault();
      slider.value = Number(slider.value) + Math.sign(event.deltaY) * (volume.turned && axis !== 0 ? -1 : 1);
      draw();
    }, { passive: false });
    canvas.parentElement.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      const place = (share, side) => turn(Math.min(side - 1, Math.max(0, Math.floor(share * side))), side);
      sliders[along].value = place((event.clientX - box.left) / box.width, columns);
      sliders[down].value = place((event.clientY - box.top) / box.height, rows);
      changed.forEach((one) => one());
    });
    changed.push(draw);
    draw();
    figure.querySelector(".moving").hidden = false;
    figure.querySelector(".still").setAttribute("hidden", "");
    figure.querySelector(".slider").hidden = false;
  });
  document.querySelectorAll(".with-script").forEach((one) => { one.hidden = false; });
}
