// The page of a backtest: filters act on all of the record, and are kept in the hash of the address.
(() => {
  const { by, all, draw, refill } = page;
  const controls = ["of", "family", "from", "to"].filter(by), value = (id) => by(id)?.value ?? "";
  const passes = ({ family, date }) => (!value("family") || family === value("family"))
    && !(value("from") && !(date >= value("from"))) && !(value("to") && !(date && date <= value("to")));
  const read = () => {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const id of controls) {
      by(id).value = given.get(id) ?? "";
      if (by(id).selectedIndex === -1) by(id).value = "";
    }
  };
  const shown = () => {
    for (const button of all("#reset")) button.hidden = controls.every((id) => !value(id));
    return record.show(passes, value("of"));
  };
  read();
  let waiting = draw(shown());
  const update = () => {
    const changed = controls.filter(value), kept = new URLSearchParams(changed.map((id) => [id, value(id)]));
    history.replaceState(null, "", changed.length ? `#${kept}` : location.pathname + location.search);
    const values = shown();
    waiting = waiting.then(() => refill(values));
  };
  for (const id of controls) by(id).addEventListener("change", update);
  for (const form of all("form")) {
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      for (const id of controls) by(id).value = "";
      update();
    });
  }
  window.addEventListener("hashchange", () => { read(); update(); });
})();
