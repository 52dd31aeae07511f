const slider = document.getElementById("fill");
if (slider) {
  document.getElementById("control").hidden = false;
  slider.addEventListener("input", () => document.documentElement.style.setProperty("--fill", slider.value));
}
