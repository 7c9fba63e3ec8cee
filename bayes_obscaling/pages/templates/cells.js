// The record by single forecasts: what filters leave of it, worked out again from their errors.
const record = (() => {
  const { facts, by, number, percent, fill } = page, whole = facts.record, cells = whole?.cells;
  const bodies = ["scores", "misses"].filter(by).map((id) => [id, [...by(id).tBodies[0].rows]]);
  const LEVELS = [50, 80, 90, 95], signed = (x) => x === null ? "" : (x > 0 ? "+" : x < 0 ? "" : "+") + number(x, 1);
  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const rows = (cells?.rows ?? []).map(([model, task, method, bin, error, crps, inside, pit, observed, median, q5, q95, distance]) => ({
    about: cells.models[model], task: cells.tasks[task], method: cells.methods[method], bin: cells.bins[bin], error: error / 1e5, crps: crps / 1e5,
    inside, pit, observed, median, q5, q95, distance,
  }));
  const ours = (some) => some.filter((row) => row.method === whole?.ours);
  const say = (some, isAll) => {
    const left = ours(some), names = new Set(left.map((row) => row.about.model)).size;
    by("record-count").textContent = `${left.length} of ${whole.forecasts} forecasts of ${whole.ours}, of ${names} model${names === 1 ? "" : "s"}.`;
    if (by("record-rest")) by("record-rest").hidden = isAll;
    const missed = left.filter((row) => row.inside >= 0 && !(row.inside & 4)).map((row) => ({ ...row, by: Math.max(row.q5 - row.observed, row.observed - row.q95) }));
    missed.sort((a, b) => b.by - a.by);
    const named = missed.slice(0, whole.most);
    by("misses-count").textContent = missed.length
      ? `Observed scores outside the 90 % interval, the furthest outside first (${missed.length} of ${left.length} forecasts${missed.length > named.length ? `; ${named.length} are named` : ""}).`
      : "No observed score lies outside its 90 % interval.";
    return named.map((row) => [row.about.model, { text: row.task, as: "left" }, number(row.observed), number(row.median), `${number(row.q5)} to ${number(row.q95)}`, number(row.by), signed(row.distance)]);
  };
  const scored = (some) => cells.methods.map((method) => {
    const own = some.filter((row) => row.method === method), banded = own.filter((row) => row.inside >= 0);
    const found = LEVELS.map((_, i) => banded.length ? mean(banded.map((row) => (row.inside >> i) & 1)) : null);
    return { method, n: own.length, mae: mean(own.map((row) => row.error)), crps: mean(own.map((row) => row.crps)), found };
  }).filter((one) => one.n).sort((a, b) => a.crps - b.crps);
  // Fills the tables; returns what the charts draw. `task` is the only one, or empty for all.
  const show = (passes, task) => {
    if (!whole) return {};
    const { coverage, pit, distance } = whole;
    if (!cells) return { coverage, pit, distance };
    const left = rows.filter((row) => (!task || row.task === task) && passes(row.about)), isAll = left.length === rows.length;
    const misses = say(left, isAll);
    if (isAll) {
      for (const [id, all] of bodies) by(id).tBodies[0].replaceChildren(...all);
      return { coverage, pit, distance };
    }
    const means = scored(left);
    fill(by("scores").tBodies[0], means.map((one) => [one.method, String(one.n), number(one.mae, 4), number(one.crps, 4), ...one.found.map((p) => p === null ? "" : percent(p))]));
    if (by("misses")) fill(by("misses").tBodies[0], misses);
    const far = cells.bins.flatMap((bin) => scored(left.filter((row) => row.bin === bin)).map(({ method, n, crps }) => ({ bin, method, n, crps })));
    return {
      coverage: means.flatMap((one) => one.found.map((found, i) => ({ method: one.method, claimed: LEVELS[i] / 100, found })).filter((point) => point.found !== null)),
      pit: ours(left).filter((row) => row.pit !== null).map((row) => ({ pit: row.pit / 1000 })), distance: far,
    };
  };
  return { show };
})();
