// The page of a ladder: task, quantity and s are kept in the hash of the address.
(() => {
  const { facts, by, number, percent, power, fill, draw, refill, unpacked } = page;
  const controls = ["task", "quantity", "s"].filter(by), start = Object.fromEntries(controls.map((id) => [id, by(id).value]));
  const read = () => {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const id of controls) by(id).value = given.get(id) ?? start[id];
    for (const id of controls) if (by(id).selectedIndex === -1) by(id).value = start[id];
  };
  const keep = () => {
    const changed = controls.filter((id) => by(id).value !== start[id]);
    const kept = new URLSearchParams(changed.map((id) => [id, by(id).value]));
    history.replaceState(null, "", changed.length ? `#${kept}` : location.pathname + location.search);
  };
  facts.rows.forEach((row, place) => {
    const span = (low, high) => `${number(row[low])} to ${number(row[high])}`;
    Object.assign(row, { place, label: row.model, median_text: number(row.median), "50 %": span("q25", "q75"), "80 %": span("q10", "q90"), "90 %": span("q5", "q95"), "95 %": span("q2.5", "q97.5") });
    row.quantiles = unpacked(row.quantiles);
  });
  const of = (quantity) => facts.rows.filter((row) => row.task === by("task").value && row.quantity === quantity);
  const shown = () => {
    const curve = facts.curves.find((one) => one.task === by("task").value);
    // a loss that all tasks share goes by the name of no task
    const losses = facts.rows.filter((row) => row.quantity === "loss"), own = losses.filter((row) => row.task === by("task").value);
    const loss = own.length ? own : losses, accuracy = new Map(of("accuracy").map((row) => [row.model, row]));
    return {
      rows: of(by("quantity").value), loss: curve?.loss ?? [], link: curve?.link ?? [], runs: curve?.runs ?? [],
      targets: loss, linked: loss.filter((row) => accuracy.has(row.model)).map((row) => ({ ...accuracy.get(row.model), loss: row.median })),
    };
  };
  const reaching = () => {
    if (!by("s")) return;
    const goal = 1000 * Number(by("s").value);
    by("s-value").textContent = Number(by("s").value).toFixed(2);
    const found = of("accuracy").map((row) => [row.quantiles.filter((q) => q >= goal).length / row.quantiles.length, row]);
    fill(by("reaching").tBodies[0], found.map(([p, row]) => {
      const box = document.createElement("span"), bar = document.createElement("span");
      box.className = "meter";
      bar.style.width = `${100 * p}%`;
      box.append(bar);
      return [row.model, percent(p), box];
    }));
  };
  const runs = () => {
    if (by("runs")) fill(by("runs").tBodies[0], shown().runs.map((run) => [run.run, power(run.params), power(run.tokens), number(run.loss), number(run.accuracy)]));
  };
  const lines = [...by("targets").tBodies[0].rows];  // in the order of facts.rows, before anybody sorts them
  const write = () => {
    reaching();
    runs();
    facts.rows.forEach((row, i) => { lines[i].hidden = row.quantity !== by("quantity").value; });
  };
  read();
  write();
  let waiting = draw(shown());
  const update = () => { write(); keep(); waiting = waiting.then(() => refill(shown())); };
  for (const id of controls) by(id).addEventListener(by(id).type === "range" ? "input" : "change", update);
  document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", () => { read(); update(); });
})();
