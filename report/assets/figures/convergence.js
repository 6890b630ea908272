// Convergence: fitness, step size and hypervolume over the trials.

function convergenceFigure(report, theme, width) {
  const { trials, generations, roles } = report;
  if (trials.every((trial) => trial.fitness === null)) return undefined;
  const fitness = (trial) => trial.fitness ?? undefined;
  const range = focus(report, fitness);
  const point = (trial, index) => (trial.fitness === null ? undefined : [index + 1, trial.fitness]);
  const outside = trials.filter((trial) => trial.fitness !== null && !inside(range, trial.fitness)).length;
  const narrow = width < 560;
  const left = 66, right = 24;
  // On the left there is only the axis.
  const marked = trialSeries(report, theme, point, (index) => (index < trials.length / 5 ? "right" : "left"));
  const { legend, space } = legendFor([...entriesOf(marked), { name: "best so far", icon: LINE }, "mean of the generation"], width);
  const grids = [
    { left, right, top: space, height: 250 },
    { left, right, top: space + 280, height: 80 },
    { left, right, top: space + 390, height: 80 },
  ];
  const x = (gridIndex, last) => ({
    type: "value", gridIndex, min: 0, max: trials.length, axisLabel: { show: last }, axisTick: { show: last },
    ...(last ? xAxisName("trial, in the order they were issued") : {}),
  });
  const curve = (name, place, value, colour, symbol) => ({
    name, type: "line", xAxisIndex: place, yAxisIndex: place, symbol, symbolSize: 5, showSymbol: generations.length < 60,
    lineStyle: { color: colour, width: 1.6 }, itemStyle: { color: colour },
    data: generations.map((generation) => ({ value: [generation.trials, value(generation)], name: `generation ${generation.generation}: ${shown(value(generation))}` })),
  });
  const baseline = roles.bestBaseline === null ? undefined : trials[roles.bestBaseline];
  return {
    name: "convergence",
    title: "Convergence",
    summary: ["sigma is how widely merges are sampled, the hypervolume how much the front covers", outsideNote(outside)].filter(Boolean).join("; "),
    height: space + 524,
    option: {
      grid: grids,
      legend,
      tooltip: trialTooltip(report, theme),
      xAxis: [x(0, false), x(1, false), x(2, true)],
      yAxis: [
        { type: "value", gridIndex: 0, scale: true, ...range, ...yAxisName("search fitness") },
        { gridIndex: 1, ...sigmaAxis(generations.map(({ sigma }) => sigma)), ...yAxisName("sigma") },
        { type: "value", gridIndex: 2, scale: true, ...yAxisName(narrow ? "volume" : "hypervolume"), splitNumber: 3 },
      ],
      series: [
        ...marked,
        {
          name: "best so far", type: "line", step: "end", symbol: "none", data: bestSoFar(trials), z: 2,
          lineStyle: { color: theme.text, width: 1.6 }, itemStyle: { color: theme.text }, silent: true, tooltip: { show: false },
          markLine: baseline && {
            silent: true, symbol: "none", data: [{ yAxis: baseline.fitness }],
            lineStyle: { color: theme.purple, type: "dotted", width: 1.4 },
            label: { formatter: "best baseline", position: "insideEndBottom", color: theme.muted },
          },
        },
        {
          name: "mean of the generation", type: "line", data: generationMeans(report), symbol: "rect", symbolSize: 5, z: 2,
          lineStyle: { color: theme.sky, width: 2, type: "dashed" }, itemStyle: { color: theme.sky },
        },
        curve("sigma", 1, ({ sigma }) => sigma, theme.green, "triangle"),
        curve("hypervolume", 2, ({ hypervolume }) => hypervolume, theme.blue, "circle"),
      ],
    },
  };
}

/** Logarithmic where sigma changes by orders of magnitude. */
function sigmaAxis(values) {
  const positive = values.filter((value) => value > 0);
  const [low, high] = [Math.min(...positive), Math.max(...positive)];
  return high > 10 * low ? { type: "log", min: low * 0.8, max: high * 1.25 } : { type: "value", scale: true, splitNumber: 2 };
}

function bestSoFar(trials) {
  let best = -Infinity;
  return trials.flatMap((trial, index) => {
    best = Math.max(best, trial.fitness ?? -Infinity);
    return best === -Infinity ? [] : [[index + 1, best]];
  });
}

/** The mean fitness of each generation's samples, at the last of them: where the distribution is. */
function generationMeans({ trials, generations }) {
  return generations.flatMap(({ generation, trials: issued }) => {
    const members = trials.filter((trial) => trial.kind === "candidate" && trial.generation === generation && trial.fitness !== null);
    if (members.length === 0) return [];
    const mean = members.reduce((sum, trial) => sum + trial.fitness, 0) / members.length;
    return [{ value: [issued, mean], name: `generation ${generation}, mean of ${members.length}: ${shown(mean)}` }];
  });
}
