(() => {
  const { facts, draw } = page, { coverage, pit, distance } = facts.record;
  draw({ coverage, pit, distance });
})();
