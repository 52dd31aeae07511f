// Conveniences of a report's page. Everything here is also there without scripts: tables, sections and pictures are
// plain HTML, and this file adds controls to them. It opens no connection.
(() => {
"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const make = (tag, text = "", attributes = {}) => {
  const node = document.createElement(tag);
  node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
};
const button = (text, act, attributes = {}) => {
  const node = make("button", text, {type: "button", ...attributes});
  node.addEventListener("click", act);
  return node;
};

// contents: which section is being read, and all sections at once
const nav = document.querySelector("nav.contents");
if (nav) {
  const sections = all("main section[id]");
  const set = (open) => all("main details:not(.larger)").forEach((one) => { one.open = open; });
  const tools = make("span", "", {class: "tools"});
  tools.append(button("Open all", () => set(true)), button("Close all", () => set(false)));
  nav.prepend(tools);
  const links = new Map(all("a", nav).map((link) => [link.hash.slice(1), link]));
  const here = () => {
    const line = nav.getBoundingClientRect().bottom + 40;
    const current = sections.filter((one) => links.has(one.id) && one.getBoundingClientRect().top < line).pop();
    links.forEach((link, id) => {
      if (current && current.id === id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
  };
  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; here(); });
  }, {passive: true});
}

// a link into a closed section opens it
const reveal = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
};
addEventListener("hashchange", reveal);
reveal();

// what is printed is whole, also in browsers that print closed sections closed
let closed = [];
addEventListener("beforeprint", () => {
  closed = all("details:not([open]):not(.larger)");
  closed.forEach((one) => { one.open = true; });
});
addEventListener("afterprint", () => closed.forEach((one) => { one.open = false; }));

// tables: sorting, a filter, a CSV file
const text = (cell) => cell.innerText.replace(/\s+/g, " ").trim();
const numeric = (words) => {
  const match = words.replace(/\u2212/g, "-").replace(/,(?=\d{3})/g, "").match(/^[<±]?\s*([+-]?\d*\.?\d+)/);
  return match ? parseFloat(match[1]) : NaN;
};
const safe = (value) => {
  // As the CSV files of the run folder: no spreadsheet takes a name for a formula.
  const isNumber = value !== "" && value === value.trim() && !Number.isNaN(Number(value));
  const cell = !isNumber && /^'*[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]/.test(value) ? "'" + value : value;
  return '"' + cell.replace(/"/g, '""') + '"';
};
const csv = (table) => all("tr", table).map((row) => [...row.cells].map((cell) => safe(content(cell))).join(",")).join("\r\n");
const content = (cell) => {
  const copy = cell.cloneNode(true);
  all(".ci", copy).forEach((one) => { one.textContent = " (" + one.textContent.trim() + ")"; });
  return copy.textContent.replace(/\s+/g, " ").trim();
};
const save = (name, content) => {
  const link = make("a", "", {href: URL.createObjectURL(new Blob(["\ufeff" + content], {type: "text/csv"})), download: name});
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};
const sortBy = (table, index, head) => {
  const down = head.getAttribute("aria-sort") === "ascending";
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const keys = new Map(rows.map((row) => [row, row.cells[index] ? text(row.cells[index]) : ""]));
  const numbers = rows.filter((row) => !Number.isNaN(numeric(keys.get(row)))).length * 2 > rows.length;
  const compare = (a, b) => {
    if (!numbers) return keys.get(a).localeCompare(keys.get(b), undefined, {numeric: true});
    const [x, y] = [numeric(keys.get(a)), numeric(keys.get(b))];
    return Number.isNaN(x) ? (Number.isNaN(y) ? 0 : 1) : Number.isNaN(y) ? -1 : x - y;
  };
  rows.sort(compare);
  if (down) rows.reverse();
  body.append(...rows);
  all("th", table).forEach((one) => one.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
};
all("main table").forEach((table, number) => {
  const head = table.tHead && table.tHead.rows[0];
  if (!head || !table.tBodies[0]) return;
  const section = table.closest("section[id]");
  const name = (section ? section.id : "table") + "-" + (number + 1);
  const tools = make("div", "", {class: "tools"});
  const rows = table.tBodies[0].rows.length;
  if (rows > 2) {
    [...head.cells].forEach((cell, index) => {
      if (!cell.textContent.trim()) return;
      const words = [...cell.childNodes];
      const sort = button("", () => sortBy(table, index, cell), {class: "sort", title: "sort by this column"});
      sort.append(...words);
      cell.append(sort);
    });
  }
  if (rows > 8) {
    const field = make("input", "", {type: "search", placeholder: "filter rows", "aria-label": "Filter the rows of this table"});
    const count = make("span", "", {class: "count", "aria-live": "polite"});
    field.addEventListener("input", () => {
      const wanted = field.value.toLowerCase();
      let shown = 0;
      for (const row of table.tBodies[0].rows) {
        row.hidden = !row.textContent.toLowerCase().includes(wanted);
        shown += row.hidden ? 0 : 1;
      }
      count.textContent = wanted ? shown + " of " + rows : "";
    });
    tools.append(field, count);
  }
  tools.append(button("Download CSV", () => save(name + ".csv", csv(table))));
  (table.closest(".scroll") || table).before(tools);
});

// the methods as text
all(".paste").forEach((box) => {
  const done = make("span", "", {role: "status"});
  const copy = button("Copy", async () => {
    const whole = box.innerText.trim();
    try {
      await navigator.clipboard.writeText(whole);
      done.textContent = " copied";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(box);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      done.textContent = document.execCommand("copy") ? " copied" : " selected: copy it with your keyboard";
    }
  });
  const tools = make("div", "", {class: "tools"});
  tools.append(copy, done);
  box.before(tools);
});

// example cases: one kind at a time, and a large view
const groups = all("#examples .group");
if (groups.length > 1) {
  const tools = make("div", "", {class: "tools", role: "group", "aria-label": "Kinds of example cases"});
  const choose = (kind, pressed) => {
    groups.forEach((one) => { one.hidden = kind !== "" && one.dataset.kind !== kind; });
    all("button", tools).forEach((one) => one.setAttribute("aria-pressed", String(one === pressed)));
  };
  ["", ...new Set(groups.map((one) => one.dataset.kind))].forEach((kind) => {
    const one = button(kind || "All", () => choose(kind, one), {"aria-pressed": String(kind === "")});
    tools.append(one);
  });
  groups[0].before(tools);
}
const dialogs = typeof HTMLDialogElement === "function";
if (dialogs && all("details.larger").length) {
  const dialog = make("dialog", "", {"aria-label": "One case, enlarged"});
  const inside = make("div");
  const cases = all("details.larger");
  let at = 0, home = null;
  const back = () => { if (home) home[0].append(home[1]); home = null; inside.replaceChildren(); };
  const show = (index) => {
    back();
    at = (index + cases.length) % cases.length;
    const body = cases[at].querySelector(".body");
    home = [cases[at], body];
    const item = cases[at].closest("li");
    inside.append(make("h3", [...item.querySelectorAll(":scope > p")].map((one) => one.innerText.trim()).join(" · ")), body);
    if (!dialog.open) dialog.showModal();
  };
  const tools = make("div", "", {class: "tools"});
  tools.append(button("← Previous", () => show(at - 1)), button("Next →", () => show(at + 1)), button("Close", () => dialog.close()));
  dialog.append(tools, inside);
  dialog.addEventListener("close", back);
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") show(at - 1);
    if (event.key === "ArrowRight") show(at + 1);
  });
  document.body.append(dialog);
  cases.forEach((one, index) => {
    one.querySelector("summary").addEventListener("click", (event) => { event.preventDefault(); show(index); });
    const picture = one.closest("li").querySelector("img");
    if (picture) {
      picture.classList.add("opens");
      picture.addEventListener("click", () => show(index));
    }
  });
}
})();
