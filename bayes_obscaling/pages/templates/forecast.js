// The page of a forecast: what is chosen is kept in the hash of the address, and acts on all charts and tables.
(() => {
  const { facts, by, all, number, percent, power, compare, isMissing, fill, draw, refill, offer, unpacked } = page;
  const narrow = window.innerWidth < 640;
  const value = (id) => by(id) ? (by(id).type === "checkbox" ? by(id).checked : by(id).value) : "";
  const text = (id, content) => { for (const one of all(id)) one.textContent = content; };

  // --- what is chosen ---
  const filters = ["family", "open", "reasoning", "from", "to"].filter(by);
  const controls = ["task", ...filters, "order", "up", "follow", "asof", "until-compute", "until-date", "s", "model", "cellset", "record-of"].filter(by);
  const start = Object.fromEntries(controls.map((id) => [id, String(value(id))]));
  const set = (id, given) => {
    const control = by(id);
    if (control.type === "checkbox") control.checked = given === "true";
    else if (!control.options || [...control.options].some((option) => option.value === given)) control.value = given;
  };
  const read = () => {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const id of controls) set(id, given.has(id) ? given.get(id) : start[id]);
  };
  const keep = () => {
    const changed = controls.filter((id) => String(value(id)) !== start[id]);
    const kept = new URLSearchParams(changed.map((id) => [id, String(value(id))]));
    history.replaceState(null, "", changed.length ? `#${kept}` : location.pathname + location.search);
  };
  // models to come have no weights and no reasoning yet: only family and date can filter them out
  const passes = (row) => {
    const is = (id, own) => !value(id) || own === value(id);
    if (!is("family", row.family)) return false;
    if (row.is_known !== false && !(is("open", row.open_weights) && is("reasoning", row.reasoning))) return false;
    return !(value("from") && !(row.date >= value("from"))) && !(value("to") && !(row.date && row.date <= value("to")));
  };
  const shows = (row) => row.task === value("task") && passes(row);

  // --- forecasts ---
  const rank = (row, key) => {
    if (key === "flops") return row.flops ?? row.latent_flops;
    if (key === "width") return row.q95 - row.q5;
    return key === "q25" || key === "q10" ? { q25: row.q75 - row.q25, q10: row.q90 - row.q10 }[key] : row[key];
  };
  const isText = (key) => ["model", "family", "basis"].includes(key);
  const down = () => isText(value("order")) === value("up");
  const sorted = (rows) => rows.slice().sort((a, b) => compare(rank(a, value("order")), rank(b, value("order")), down()) || compare(a.model, b.model));
  facts.rows.forEach((row, i) => {
    row.at = i;
    row.quantiles = unpacked(row.quantiles);
    const span = (low, high) => `${number(row[low])} to ${number(row[high])}`;
    Object.assign(row, { "50 %": span("q25", "q75"), "80 %": span("q10", "q90"), "90 %": span("q5", "q95"), "95 %": span("q2.5", "q97.5") });
    row.median_text = number(row.median);
    row.observed_text = number(row.observed) || "not known";
    row.beats = row.p_best === null ? "" : percent(row.p_best);
    row.distance_text = isMissing(row.distance) ? "not known" : (row.distance > 0 ? "+" : "") + number(row.distance, 1);
    row.months_text = isMissing(row.months_ahead) ? "not known" : (row.months_ahead > 0 ? "+" : "") + number(row.months_ahead, 0);
    row.scores_text = row.scores ? String(row.scores) : `none of its own; ${row.family_models} models of its family`;
    row.known = row.seen ? "observed, seen" : "observed, not seen by the fit";
  });
  let everything = false;
  const most = narrow ? 20 : 30;
  const labelled = (rows) => {
    const short = (name) => name.split("/").pop(), counts = {};
    for (const row of rows) counts[short(row.model)] = (counts[short(row.model)] ?? 0) + 1;
    return rows.map((row, place) => ({ ...row, place, label: counts[short(row.model)] > 1 ? row.model : short(row.model) }));
  };

  // --- scores along compute and date ---
  const sizes = {};
  for (const point of facts.points) sizes[point.family] = (sizes[point.family] ?? 0) + 1;
  const largest = Object.keys(sizes).sort((a, b) => sizes[b] - sizes[a]);
  const named = new Set(largest.length > 10 ? largest.slice(0, 9) : largest);
  const dates = Object.fromEntries(facts.points.map((point) => [point.model, point]));
  // the fan of a former day, where the study has kept one of the family; else none
  const nothing = (one) => ({ ...one, by_compute: [], by_date: [] });
  const followed = () => {
    const date = value("asof"), now = facts.fans.find((one) => one.family === value("follow")) ?? facts.fans[0];
    return date ? facts.as_of_fans.find((one) => one.as_of === date && one.family === now.family) ?? nothing(now) : now;
  };
  const here = (row) => row.task === value("task");

  for (const fan of [...facts.fans, ...facts.as_of_fans]) for (const point of [...fan.by_compute, ...fan.by_date]) point.quantiles = unpacked(point.quantiles);

  // Probability of a score of at least s, from quantiles (thousandths) at even levels 1 / (n + 1) ... n / (n + 1).
  const reaches = (quantiles, s) => {
    const goal = 1000 * s, at = quantiles.findIndex((one) => one >= goal);
    if (at === -1) return 0;
    if (at === 0) return 1;
    const low = quantiles[at - 1];
    return 1 - (at + (goal - low) / (quantiles[at] - low)) / (quantiles.length + 1);
  };
  const along = (name) => {
    const fan = followed()[`by_${name}`].filter(here), s = Number(value("s"));
    return fan.slice(0, Number(value(`until-${name}`)) + 1).map((point) => ({ ...point, p: reaches(point.quantiles, s) }));
  };
  const asOf = () => facts.as_of.filter((row) => row.as_of === value("asof") && here(row));

  const shown = () => {
    const task = facts.tasks.find((one) => one.name === value("task"));
    const found = sorted(facts.rows.filter(shows)), rows = labelled(found);
    const date = value("asof"), then = new Map(date ? asOf().map((row) => [row.model, row]) : []);
    const points = facts.points.filter(shows).map((point) => ({
      ...point,
      observed_text: number(point.observed),
      compute: power(point.flops) && `${point.flops_low === null ? "" : "~"}${power(point.flops)} FLOPs`,
      known: (date ? !then.has(point.model) && point.date < date : point.seen) ? "seen by the fit" : "not seen by the fit",
      group: named.has(point.family) ? point.family : "other families",
    }));
    points.sort((a, b) => largest.indexOf(a.family) - largest.indexOf(b.family));
    const coming = date
      ? [...then.values()].map((row) => ({ ...dates[row.model], ...row, median_text: number(row.median), "90 %": `${number(row.q5)} to ${number(row.q95)}` })).filter(passes)
      : rows.filter((row) => row.observed === null).map((row) => ({ ...row, flops: row.flops ?? row.latent_flops }));
    return {
      rows: everything ? rows : rows.slice(0, most), marks: [{ best: task.best, ceiling: task.ceiling }], points, coming,
      by_compute: along("compute"), by_date: along("date"), ...record.show(passes, value("record-of") && value("task")),
    };
  };

  // --- what is written around the charts ---
  const tables = () => {
    const order = sorted(facts.rows), body = by("forecasts").tBodies[0];
    body.append(...order.map((row) => lines[row.at]));
    for (const row of facts.rows) lines[row.at].hidden = !shows(row);
    for (const head of all("th[data-key]")) head.setAttribute("aria-sort", head.dataset.key !== value("order") ? "none" : down() ? "descending" : "ascending");
    const count = facts.rows.filter(shows).length, of = facts.rows.filter(here).length;
    text("#count", count === of ? `${of} forecasts` : `${count} of ${of} forecasts`);
    by("reset").hidden = filters.every((id) => !value(id));
    by("more").hidden = count <= most;
    by("more").textContent = everything ? `Draw the first ${most} only` : `Draw all ${count} (first ${most} drawn)`;
    const task = facts.tasks.find((one) => one.name === value("task"));
    text("#best", task.best === null ? "no score was seen." : `best score seen, ${number(task.best)} (${task.best_model}).`);
    text("#ceiling", task.ceiling === null ? "" : ` Dotted: ceiling, the highest expected score, ${number(task.ceiling)} (90 % interval ${number(task.ceiling_low)} to ${number(task.ceiling_high)}).`);
  };
  const lines = [...by("forecasts").tBodies[0].rows];
  const meter = (p) => {
    const box = document.createElement("span");
    box.className = "meter";
    box.setAttribute("aria-hidden", "true");
    box.append(document.createElement("span"));
    box.firstChild.style.width = `${100 * p}%`;
    return box;
  };
  const reaching = () => {
    const s = Number(value("s"));
    text("#s-value", s.toFixed(2));
    const found = facts.rows.filter(shows).map((row) => [reaches(row.quantiles, s), row]);
    found.sort(([p, a], [q, b]) => q - p || b.median - a.median);
    fill(by("reaching").tBodies[0], found.map(([p, row]) => [row.model, percent(p), meter(p)]));
  };
  const readings = () => {
    const one = followed(), date = value("asof"), s = Number(value("s"));
    const then = date ? ` as of ${date}` : "";
    text(".who", one.who + then);
    const released = one.at_date ? `, released on ${one.at_date}` : "", trained = one.at_flops === null ? "" : `, trained with ${power(one.at_flops)} FLOPs`;
    text(".at-flops", trained);
    for (const name of ["compute", "date"]) {
      const fan = along(name), end = fan[fan.length - 1];
      by(`slide-${name}`).hidden = !end;
      const place = end ? (name === "compute" ? `${power(end.flops)} FLOPs` : end.date) : "";
      text(`#place-${name}`, place);
      const q = end?.quantiles;
      text(`#reading-${name}`, end ? `${date ? `As of ${date}: at` : "At"} ${place}, a new model of ${one.who}${name === "compute" ? released : trained}: median ${number(q[24] / 1000)}, 50 % interval ${number((q[11] + q[12]) / 2000)} to ${number((q[36] + q[37]) / 2000)}, 90 % ${number((q[1] + q[2]) / 2000)} to ${number((q[46] + q[47]) / 2000)}; P(score ≥ ${s.toFixed(2)}) ${percent(reaches(q, s))}.` : "");
      const drawn = end ? `Band: 50 and 90 % intervals of the expected score of a new model of ${one.who}${date && `, as expected then`}; the sentence above is about a new evaluation of it. ` : "";
      const missing = end ? "" : date ? "Of that day there is no band of this family. " : name === "date" ? "This fit follows no release dates of this family, so there is no band. " : "";
      const band = (end && !date ? "Circles: scores that the fit has seen; diamonds: others. " : "") + drawn + missing;
      const now = facts.rows.some((row) => row.observed === null) ? "Squares: forecasts of models without a score, with their 90 % interval. " : "";
      const latent = name === "compute" && facts.points.some((point) => point.flops_low !== null) ? "Horizontal bars: compute that nobody published, 90 % interval." : "";
      text(`#caption-${name}`, date ? `Squares: forecasts as of ${date} of models released since, with their 90 % interval; diamonds: what came; circles: what was there. ${band}${latent}` : band + now + latent);
    }
  };

  // --- one model ---
  const bar = ([q5, q25, median, q75, q95], low, high) => {
    const at = (x) => `${100 * Math.min(1, Math.max(0, (x - low) / (high - low)))}%`, box = document.createElement("span");
    box.className = "range";
    for (const [a, b, kind] of [[q5, q95, "wide"], [q25, q75, "mid"], [median, median, "dot"], [0, 0, "zero"]]) {
      const part = document.createElement("i");
      part.className = kind;
      part.style.left = at(a);
      part.style.width = kind === "dot" || kind === "zero" ? "" : `calc(${at(b)} - ${at(a)})`;
      box.append(part);
    }
    box.setAttribute("aria-hidden", "true");
    return box;
  };
  const compute = (one) => {
    if (one.compute) return `Training compute is not public; its scores and its date imply ${power(one.compute[1])} FLOPs (90 % interval ${power(one.compute[0])} to ${power(one.compute[2])}).`;
    const error = one.flops_sd ? `, an estimate within a factor of ${(10 ** (1.645 * one.flops_sd)).toPrecision(2)} (90 %)` : ", as stated";
    return one.flops === null ? "" : `Training compute: ${power(one.flops)} FLOPs${error}.`;
  };
  const link = ([title, address]) => {
    if (!/^https:\/\//.test(address)) return { text: title, as: "left" };
    const made = document.createElement("a");
    made.href = address; made.textContent = title; made.rel = "noreferrer";
    return made;
  };
  const cells = () => {
    const { single } = facts, one = single.models.find((model) => model.model === value("model"));
    if (!one) return;
    const weights = { yes: "open weights", no: "closed weights" }[one.open_weights], mind = { yes: "with reasoning", no: "without reasoning" }[one.reasoning];
    text("#model-about", [one.family && `Family ${one.family}`, one.provider && `by ${one.provider}`, one.date && `released on ${one.date}`, weights, mind].filter(Boolean).join(", "));
    text("#model-compute", compute(one));
    const ends = single.models.flatMap((model) => model.capabilities.flatMap((q) => [q[0], q[4]]));
    const low = Math.min(...ends), high = Math.max(...ends);
    fill(by("capabilities").tBodies[0], one.capabilities.map((q, k) => [single.factors[k].replaceAll("_", "_\u200b"), bar(q, low, high), number(q[2], 2), `${number(q[0], 2)} to ${number(q[4], 2)}`]));
    const known = new Map(one.observed.map((row) => [row[0], row]));
    const rows = single.names.map((name, j) => {
      const [q5, q25, median, q75, q95] = unpacked(one.quantiles.slice(10 * j, 10 * j + 10)).map((q) => q / 1000);
      const [, score, error, seen, setting, source, mark] = known.get(j) ?? [];
      const observed = score === undefined ? null : score / 1000, outside = observed !== null && (observed < q5 - 5e-4 || observed > q95 + 5e-4);
      const what = observed === null ? "forecast" : [seen ? "observed, seen" : "observed, hidden", outside && "outside 90 %", mark].filter(Boolean).join("; ");
      const odd = outside || mark;
      const kind = observed === null ? "forecast" : "observed";
      return { name, observed, kind, odd, cells: [name, number(observed), isMissing(error) ? "" : `± ${number(error / 1000)}`, number(median), `${number(q5)} to ${number(q95)}`, `${number(q25)} to ${number(q75)}`, { text: what, as: odd ? "left out" : "left" }, { text: setting ?? "", as: "left" }, source === undefined ? { text: "", as: "left" } : link(single.sources[source])] };
    });
    const wanted = value("cellset"), task = value("task");
    const kept = rows.filter((row) => !wanted || (wanted === "odd" ? row.odd : row.kind === wanted));
    kept.sort((a, b) => (b.name === task) - (a.name === task) || (a.observed === null) - (b.observed === null));
    fill(by("cells").tBodies[0], kept.map((row) => row.cells));
    const hasSetting = single.models.some((model) => model.observed.some((row) => row[4]));
    for (const line of by("cells").rows) line.cells[7].hidden = !hasSetting;
  };
  const models = () => {
    const options = [...by("model").options];
    facts.single.models.forEach((model, i) => { options[i].hidden = options[i].disabled = !passes(model); });
    if (by("model").selectedOptions[0]?.disabled) by("model").value = options.find((option) => !option.disabled)?.value ?? "";
    start.model = options.find((option) => !option.disabled)?.value ?? "";
  };

  // --- together ---
  const write = () => { tables(); reaching(); readings(); if (by("model")) { models(); cells(); } };
  read();
  write();
  let waiting = draw(shown());
  const update = () => { write(); keep(); waiting = waiting.then(() => refill(shown())); };
  for (const id of controls) by(id).addEventListener(by(id).type === "range" ? "input" : "change", update);
  for (const head of all("th[data-key]")) {
    head.querySelector("button").addEventListener("click", () => {
      const key = head.dataset.key, same = key === value("order");
      if (![...by("order").options].some((option) => option.value === key)) by("order").add(new Option(head.textContent.trim() + " interval, width", key));
      by("order").value = key;
      by("up").checked = same ? !by("up").checked : false;
      update();
    });
  }
  by("more").addEventListener("click", () => { everything = !everything; update(); });
  by("reset").closest("form").addEventListener("reset", (event) => {
    event.preventDefault();
    for (const id of filters) set(id, "");
    update();
  });
  by("reset").closest("form").addEventListener("submit", (event) => event.preventDefault());
  offer("csv-shown", (i) => passes(facts.rows[i]));
  window.addEventListener("hashchange", () => { read(); update(); });
})();
