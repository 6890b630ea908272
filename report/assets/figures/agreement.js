// Search scores against test scores: how far what the search saw can be believed.

function agreementFigure(report, theme, width) {
  const tested = report.trials.flatMap((trial, index) => (trial.testFitness && trial.searchFitness ? [{ trial, index }] : []));
  if (tested.length < 2) return undefined;
  const scored = (trial) => trial.testFitness && trial.searchFitness;
  const ranges = [focus(report, (trial) => (scored(trial) ? trial.searchFitness.value : undefined)), focus(report, (trial) => (scored(trial) ? trial.testFitness.value : undefined))];
  // Both axes alike, so that the line is the diagonal.
  const range = room(ranges.flatMap(({ min, max }) => [min, max]), 0);
  const outside = tested.filter(({ trial }) => !(inside(range, trial.searchFitness.value) && inside(range, trial.testFitness.value))).length;
  const kept = report.orderKept === null ? "" : `${percent(report.orderKept)} of the pairs of finalists keep their order; `;
  const marked = trialSeries(report, theme, (trial) => (scored(trial) ? [trial.searchFitness.value, trial.testFitness.value] : undefined));
  const { legend, space } = legendFor([...entriesOf(marked), { name: "equal", icon: DASH }], width);
  return {
    name: "search-and-test",
    title: "Search score against test score",
    summary: [`${kept}bars are ± 1 standard error`, "below the line: better on search items than on unseen ones", outsideNote(outside)].filter(Boolean).join("; "),
    height: 390 + space,
    option: {
      grid: { left: 66, right: 24, top: space, bottom: 54 },
      legend,
      tooltip: trialTooltip(report, theme),
      xAxis: { type: "value", ...range, ...xAxisName("fitness on search items") },
      yAxis: { type: "value", ...range, ...yAxisName("fitness on test items") },
      series: [
        {
          name: "equal", type: "line", data: [[range.min, range.min], [range.max, range.max]], symbol: "none", silent: true,
          lineStyle: { color: theme.muted, type: "dashed", width: 1 }, itemStyle: { color: theme.muted }, tooltip: { show: false },
        },
        errorBars("± 1 standard error", tested.map(({ trial }) => [trial.searchFitness.value, trial.testFitness.value, trial.testFitness.error ?? 0]), theme.muted, "y", { itemStyle: { color: theme.muted } }),
        ...marked,
      ],
    },
  };
}
