"use strict";
// What all pages share: values, sorted tables, tabs, charts, files to download.
const page = (() => {
  // tables come with the names of their columns said once, quantiles as two digits of base 36 each
  const table = ({ keys, rows }) => rows.map((row) => Object.fromEntries(keys.map((key, i) => [key, row[i]])));
  const { facts, charts } = JSON.parse(document.getElementById("data").textContent, (_, value) => value?.keys && value.rows ? table(value) : value);
  const unpacked = (text) => Array.from({ length: text.length / 2 }, (_, i) => parseInt(text.slice(2 * i, 2 * i + 2), 36));
  const by = (id) => document.getElementById(id);
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const number = (value, digits = 3) => value === null || value === undefined ? "" : value.toFixed(digits);
  const percent = (p) => p < 0.01 ? "<1 %" : p > 0.99 ? ">99 %" : `${Math.round(100 * p)} %`;
  const power = (value) => value === null || value === undefined ? "" : value.toExponential(1).replace("e+", "e");
  const views = {};

  // --- tables: a click on a header sorts ---
  const key = (text) => {
    const value = parseFloat(text.replace(/^[~<>]/, ""));
    return /^[~<>+-]?[.\d]/.test(text) && !Number.isNaN(value) && !/^\d{4}-\d\d/.test(text) ? value : text;
  };
  const isMissing = (value) => value === "" || value === null || value === undefined;
  const compare = (a, b, down = false) => {
    if (isMissing(a) || isMissing(b)) return isMissing(a) - isMissing(b);  // what is missing comes last, either way
    const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
    return down ? -order : order;
  };
  for (const button of all("th[aria-sort]:not([data-key]) button")) {
    button.addEventListener("click", () => {
      const head = button.closest("th"), body = head.closest("table").tBodies[0], at = head.cellIndex;
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of all("th[aria-sort]", head.parentNode)) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [key(row.cells[at].textContent.trim()), row]);
      rows.sort(([a], [b]) => compare(a, b, down));
      body.append(...rows.map(([, row]) => row));
    });
  }
  const fill = (body, rows) => body.replaceChildren(...rows.map((cells) => {
    const row = document.createElement("tr");
    for (const content of cells) {
      const cell = row.insertCell();
      if (content instanceof Node) { cell.append(content); cell.className = "left"; }
      else if (typeof content === "object") { cell.textContent = content.text; cell.className = content.as; }
      else cell.textContent = content;
    }
    return row;
  }));

  // --- tabs: arrow keys, Home and End move between them ---
  const tabs = all("[role=tab]");
  const choose = (tab) => {
    for (const one of tabs) {
      const chosen = one === tab;
      one.setAttribute("aria-selected", chosen);
      one.tabIndex = chosen ? 0 : -1;
      by(one.getAttribute("aria-controls")).hidden = !chosen;
    }
    window.dispatchEvent(new Event("resize"));  // charts that were hidden find their width
  };
  for (const tab of tabs) {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const at = tabs.indexOf(tab), last = tabs.length - 1;
      const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at ? at - 1 : last, Home: 0, End: last }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      choose(tabs[to]);
      tabs[to].focus();
    });
  }

  // --- charts ---
  const narrow = window.innerWidth < 640;
  const draw = async (values) => {
    for (const [name, spec] of Object.entries(charts)) {
      if (!by(name)) continue;
      const used = JSON.stringify(spec);
      spec.datasets = Object.fromEntries(Object.entries(values).filter(([data]) => used.includes(`"name":"${data}"`)));
      if (narrow) {
        const axis = { ...spec.config.axis, labelFontSize: 10, titleFontSize: 11 };
        spec.config = { ...spec.config, axis, axisY: { labelLimit: 120 }, legend: { ...spec.config.legend, columns: 2, labelLimit: 140 } };
      }
      const dark = matchMedia("(prefers-color-scheme: dark)").matches;
      const result = await vegaEmbed(by(name), spec, { actions: false, renderer: "svg", tooltip: { theme: dark ? "dark" : "light" } });
      views[name] = result.view;
    }
    // a chart is one picture with a text; its marks are no stops for the tab key
    for (const part of all(".chart [tabindex]")) part.removeAttribute("tabindex");
    if (tabs.length) choose(tabs[0]);
    document.documentElement.dataset.ready = "yes";
  };
  const refill = async (values) => {
    for (const [name, view] of Object.entries(views)) {
      const used = Object.keys(charts[name].datasets).filter((data) => data in values);
      if (!used.length) continue;
      for (const data of used) view.data(data, values[data]);
      await view.resize().runAsync();
    }
  };

  // --- files: made here, out of what the page holds ---
  const lines = facts.csv.trimEnd().split("\n");
  const offer = (id, isShown) => by(id).addEventListener("click", () => {
    const text = [lines[0], ...lines.slice(1).filter((_, i) => isShown(i))].join("\n") + "\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = `${facts.kind}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  offer("csv", () => true);

  return { facts, by, all, number, percent, power, compare, isMissing, fill, draw, refill, offer, unpacked };
})();
