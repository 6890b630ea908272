// Weights: those of the front's members as a heat map, and what a checkpoint's own score says about the weight it gets.

/** Rows and columns beyond which cells are too small for numbers. */
const NUMBERED_COLUMNS = 20;
const ROW_HEIGHT = 24;
const MOST_ROWS = 40;

function weightsFigure(report, theme, width) {
  const { roles, trials, checkpoints } = report;
  const soups = [...new Set([roles.greedy, roles.uniform])].filter((index) => index !== null && !roles.front.includes(index));
  const members = roles.front.filter((index) => trials[index].kind !== "single").slice(0, MOST_ROWS);
  // ECharts counts rows from below.
  const rows = [...members, ...soups].reverse();
  if (members.length === 0) return undefined;
  const largest = Math.max(...rows.flatMap((index) => trials[index].weights.map(Math.abs)), 0.01);
  const numbered = checkpoints.length <= NUMBERED_COLUMNS && width >= 560;
  const left = Math.min(150, width * 0.3);
  const bottom = 14 + 6.2 * Math.max(...checkpoints.map((name) => name.length));
  const row = (index) => (index === roles.best ? `★ ${shortName(report, index)}` : shortName(report, index));
  const data = rows.flatMap((index, y) => trials[index].weights.map((weight, x) => ({
    value: [x, y, weight], trial: index, name: `${trials[index].id}, ${checkpoints[x]}: ${weighed(weight)}`,
    label: { color: Math.abs(weight) > largest * 0.62 ? theme.surface : theme.text },
  })));
  const hidden = roles.front.length - members.length;
  return {
    name: "weights",
    title: "Weights of the front's members",
    summary: [
      "each row sums to 1; best fitness first", soups.length ? "the soups below" : "",
      hidden > 0 ? `${hidden} more of the front not shown` : "", groupsNote(report),
    ].filter(Boolean).join("; "),
    height: 16 + rows.length * ROW_HEIGHT + bottom,
    option: {
      grid: { left, right: 16, top: 8, bottom },
      tooltip: {
        confine: true, backgroundColor: theme.surface, borderColor: theme.muted, textStyle: { color: theme.text, fontSize: 12 },
        formatter: ({ data: { trial, value } }) => `<div class="tip"><b>${escaped(trials[trial].id)}</b><br>${escaped(checkpoints[value[0]])}: ${weighed(value[2])}</div>`,
      },
      xAxis: { type: "category", data: checkpoints, axisLabel: { rotate: 90, interval: (width - left - 16) / checkpoints.length < 12 ? "auto" : 0, color: theme.text }, axisTick: { show: false }, splitArea: { show: false } },
      yAxis: { type: "category", data: rows.map(row), axisLabel: { color: theme.text, width: left - 12, overflow: "truncate", interval: 0 }, axisTick: { show: false } },
      visualMap: {
        show: false, min: -largest, max: largest, calculable: false,
        inRange: { color: [theme.orange, theme.surface, theme.blue] },
      },
      series: [{
        name: "weight", type: "heatmap", data, itemStyle: { borderColor: theme.grid, borderWidth: 1 },
        label: {
          show: true, fontSize: 11,
          // Without colours a negative weight would look like a positive one.
          formatter: ({ value: [, , weight] }) => (Math.abs(weight) < 0.005 ? "" : numbered ? weighed(weight) : weight < 0 ? "−" : ""),
        },
        emphasis: { itemStyle: { borderColor: theme.text, borderWidth: 2 } },
      }],
    },
  };
}

function ownScoreFigure(report, theme, width) {
  const { roles, trials, checkpoints } = report;
  const best = roles.best === null ? undefined : trials[roles.best];
  const singles = new Map(trials.filter((trial) => trial.kind === "single").map((trial) => [trial.id, trial]));
  const points = checkpoints.flatMap((name, place) => {
    const own = singles.get(`single-${name}`);
    return best && own && own.fitness !== null ? [{ name, place, own: own.fitness, weight: best.weights[place] }] : [];
  });
  if (points.length < 3) return undefined;
  const front = roles.front.map((index) => trials[index]).filter((trial) => trial.kind !== "single");
  const ranges = front.length < 2 ? [] : points.map(({ own, place }) => {
    const weights = front.map((trial) => trial.weights[place]);
    return [own, Math.min(...weights), Math.max(...weights)];
  });
  const correlation = rankCorrelation(points.map(({ own }) => own), points.map(({ weight }) => weight));
  return {
    name: "own-score-and-weight",
    title: "Does a checkpoint's own score tell its weight?",
    summary: [
      correlation === undefined ? "" : `rank correlation ${correlation < 0 ? "−" : ""}${Math.abs(correlation).toFixed(2)}: ${correlationInWords(correlation)}`,
      groupsNote(report),
    ].filter(Boolean).join("; "),
    height: 420,
    option: {
      grid: { left: 66, right: 24, top: 40, bottom: 54 },
      legend: { top: 8, left: 8 },
      tooltip: {
        confine: true, backgroundColor: theme.surface, borderColor: theme.muted, textStyle: { color: theme.text, fontSize: 12 },
        formatter: ({ data: { name, value } }) => `<div class="tip"><b>${escaped(name)}</b><br>own fitness ${shown(value[0])}<br>weight ${weighed(value[1])}</div>`,
      },
      xAxis: { type: "value", scale: true, ...room(points.map(({ own }) => own)), ...xAxisName("the checkpoint's own search fitness") },
      yAxis: { type: "value", ...room([0, ...ranges.flatMap(([, low, high]) => [low, high]), ...points.map(({ weight }) => weight)]), ...yAxisName("weight in the merge") },
      series: [
        {
          name: "range over the front", type: "custom", silent: true, clip: true, data: ranges, itemStyle: { color: theme.sky }, tooltip: { show: false },
          renderItem(_, api) {
            const [low, high] = [api.coord([api.value(0), api.value(1)]), api.coord([api.value(0), api.value(2)])];
            return { type: "line", shape: { x1: low[0], y1: low[1], x2: high[0], y2: high[1] }, style: { stroke: theme.sky, lineWidth: 4, opacity: 0.6 } };
          },
        },
        {
          name: best.id, type: "scatter", symbol: "circle", symbolSize: 9, itemStyle: { color: theme.blue, borderColor: theme.surface, borderWidth: 1 },
          data: points.map(({ name, own, weight }) => ({ name, value: [own, weight], trial: trials.indexOf(singles.get(`single-${name}`)) })),
          label: { show: points.length <= 32, position: "right", formatter: ({ name }) => name, color: theme.text, fontSize: 11, textBorderColor: theme.surface, textBorderWidth: 3 },
          labelLayout: { hideOverlap: true },
          markLine: { silent: true, symbol: "none", data: [{ yAxis: 0 }], lineStyle: { color: theme.muted, type: "solid", width: 1 }, label: { show: false } },
        },
      ],
    },
  };
}

/** Spearman's rank correlation; nothing when one side is constant. */
function rankCorrelation(one, other) {
  const [a, b] = [ranks(one), ranks(other)];
  const mean = (a.length + 1) / 2;
  const sum = (left, right) => left.reduce((total, rank, index) => total + (rank - mean) * (right[index] - mean), 0);
  const spread = Math.sqrt(sum(a, a) * sum(b, b));
  return spread > 0 ? sum(a, b) / spread : undefined;
}

/** Ranks from 1; equal values share the mean of theirs. */
function ranks(values) {
  const sorted = [...values].sort((one, other) => one - other);
  return values.map((value) => (sorted.indexOf(value) + sorted.lastIndexOf(value)) / 2 + 1);
}

function correlationInWords(correlation) {
  const strength = Math.abs(correlation);
  if (strength < 0.3) return "hardly";
  return `${strength < 0.6 ? "somewhat" : "largely"}${correlation < 0 ? ", the other way round" : ""}`;
}
