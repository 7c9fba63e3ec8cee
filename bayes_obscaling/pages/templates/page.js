"use strict";
(() => {
  const { facts, charts } = JSON.parse(document.getElementById("data").textContent);
  const by = (id) => document.getElementById(id);
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const number = (value, digits = 3) => value === null || value === undefined ? "" : value.toFixed(digits);
  const percent = (p) => p < 0.01 ? "<1 %" : p > 0.99 ? ">99 %" : `${Math.round(100 * p)} %`;
  const views = {};

  // --- tables: a click on a header sorts ---
  const key = (text) => {
    const value = parseFloat(text.replace(/^[~<>]/, ""));
    return /^[~<>+-]?[.\d]/.test(text) && !Number.isNaN(value) && !/^\d{4}-\d\d/.test(text) ? value : text;
  };
  const compare = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === "");  // what is missing comes last, either way
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  };
  for (const button of all("th[aria-sort] button")) {
    button.addEventListener("click", () => {
      const head = button.closest("th"), body = head.closest("table").tBodies[0], at = head.cellIndex;
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of all("th[aria-sort]", head.parentNode)) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [key(row.cells[at].textContent.trim()), row]);
      rows.sort(([a], [b]) => a === "" || b === "" || !down ? compare(a, b) : compare(b, a));
      body.append(...rows.map(([, row]) => row));
    });
  }

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
      if (narrow) spec.config = { ...spec.config, axisY: { labelLimit: 110 }, legend: { ...spec.config.legend, columns: 1 } };
      const result = await vegaEmbed(by(name), spec, { actions: false, renderer: "svg", tooltip: { theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light" } });
      views[name] = result.view;
    }
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

  if (facts.kind === "record") {
    draw({ coverage: facts.coverage, pit: facts.pit, distance: facts.distance });
    return;
  }

  // --- what is shown: task, family, order and score, kept in the hash of the address ---
  const controls = ["task", "family", "order", "s"].map(by);
  const read = () => {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const control of controls) {
      const value = given.get(control.id);
      if (value === null) continue;
      if (control.type === "range" || [...control.options].some((option) => option.value === value)) control.value = value;
    }
  };
  const keep = () => {
    const kept = new URLSearchParams(controls.map((control) => [control.id, control.value]));
    history.replaceState(null, "", `#${kept}`);
  };
  const families = new Set(facts.points.map((point) => point.family));
  const is = (row) => row.task === by("task").value && (!by("family").value || row.family === by("family").value);
  const last = { model: "", date: "", flops: -1, observed: -1, median: -1 };

  // Probability of a score of at least s, from quantiles (thousandths) at even levels 1 / (n + 1) ... n / (n + 1).
  const reaches = (quantiles, s) => {
    const goal = 1000 * s, at = quantiles.findIndex((value) => value >= goal);
    if (at === -1) return 0;
    if (at === 0) return 1;
    const low = quantiles[at - 1];
    return 1 - (at + (goal - low) / (quantiles[at] - low)) / (quantiles.length + 1);
  };

  const shown = () => {
    const order = by("order").value, value = (row) => row[order] ?? (order === "flops" ? row.latent_flops : null) ?? last[order];
    const found = facts.rows.filter(is), short = (name) => name.split("/").pop();
    const alike = (name) => found.filter((row) => short(row.model) === short(name)).length > 1;
    const rows = found.map((row) => ({
      ...row,
      label: alike(row.model) ? row.model : short(row.model),
      "50 %": `${number(row.q25)} to ${number(row.q75)}`,
      "80 %": `${number(row.q10)} to ${number(row.q90)}`,
      "90 %": `${number(row.q5)} to ${number(row.q95)}`,
      observed_text: number(row.observed) || "not known",
      beats: row.p_best === null ? "" : percent(row.p_best),
      distance_text: number(row.distance, 1), months_text: number(row.months_ahead, 0),
      known: row.seen ? "observed, seen" : "observed, not seen by the fit",
    }));
    rows.sort((a, b) => order === "model" ? compare(a.model, b.model) : compare(value(b), value(a)));
    const task = facts.tasks.find((one) => one.name === by("task").value);
    const here = (point) => point.task === task.name;
    const points = facts.points.filter(is).map((point) => ({
      ...point,
      flops_text: point.flops === null ? "" : `${point.flops_low === null ? "" : "~"}${point.flops.toExponential(1)}`,
      known: point.seen ? "seen" : "not seen by the fit",
      group: families.size <= 10 || point.family === by("family").value ? point.family : "all families",
    }));
    const s = Number(by("s").value);
    const along = (fan) => fan.filter(here).map((point) => ({ ...point, p: reaches(point.quantiles, s) }));
    return {
      rows, points, best: task.best === null ? [] : [{ best: task.best }],
      by_compute: along(facts.by_compute), by_date: along(facts.by_date),
      coming: rows.filter((row) => row.observed === null).map((row) => ({ ...row, flops: row.flops ?? row.latent_flops })),
    };
  };
  const reaching = () => {
    const s = Number(by("s").value);
    by("s-value").textContent = s.toFixed(2);
    for (const line of all("#reaching tbody tr")) {
      const p = reaches(facts.rows[line.dataset.row].quantiles, s);
      line.cells[1].textContent = percent(p);
      line.cells[2].querySelector(".meter span").style.width = `${100 * p}%`;
    }
  };
  const filter = () => {
    for (const line of all("tr[data-task]")) line.hidden = !is(line.dataset);
    const task = facts.tasks.find((one) => one.name === by("task").value);
    by("best").textContent = task.best === null ? "no score was seen." : `best score seen, ${number(task.best)} (${task.best_model}).`;
  };
  const cells = () => {
    const one = facts.models[by("model").value], body = by("cells").tBodies[0];
    by("model-about").textContent = [one.family && `Family ${one.family}`, one.provider, one.date && `released on ${one.date}`].filter(Boolean).join(", ");
    body.replaceChildren(...one.cells.map(([name, observed, seen, q5, q25, median, q75, q95]) => {
      const outside = observed !== null && (observed < q5 || observed > q95);
      const what = observed === null ? "forecast" : (seen ? "observed, seen by the fit" : "observed, hidden from the fit") + (outside ? "; outside 90 %" : "");
      const row = document.createElement("tr");
      for (const text of [name, number(observed), number(median), `${number(q25)} to ${number(q75)}`, `${number(q5)} to ${number(q95)}`, what]) row.insertCell().textContent = text;
      row.lastChild.className = outside ? "left out" : "left";
      return row;
    }));
  };

  read(); filter(); reaching();
  if (by("model")) { cells(); by("model").addEventListener("change", cells); }
  const ready = draw(shown());
  let waiting = Promise.resolve(ready);
  const update = () => { filter(); reaching(); keep(); waiting = waiting.then(() => refill(shown())); };
  for (const control of controls) control.addEventListener(control.type === "range" ? "input" : "change", update);
  window.addEventListener("hashchange", () => { read(); update(); });
})();
