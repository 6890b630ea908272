// The front: each pair of objectives against each other.

const TEST_SCORES = "test scores ± 1 standard error";

/** Pairs beyond which figures would be a book: those of eight objectives. */
const MOST_PAIRS = 28;

function frontFigures(report, theme, width) {
  const pairs = report.objectives.flatMap((_, x) => report.objectives.slice(x + 1).map((_, place) => [x, x + 1 + place]));
  const taken = new Set();
  const shownPairs = pairs.slice(0, MOST_PAIRS);
  return shownPairs.map(([x, y], order) => {
    const figure = frontFigure(report, theme, width, x, y);
    // Names that differ in signs alone would be one file.
    if (taken.has(figure.name)) figure.name += `-${x + 1}-${y + 1}`;
    taken.add(figure.name);
    const hidden = pairs.length - shownPairs.length;
    if (order === shownPairs.length - 1 && hidden > 0) figure.summary += `; ${hidden} more pairs of objectives are not shown`;
    return figure;
  });
}

function frontFigure(report, theme, width, x, y) {
  const names = [x, y].map((place) => report.objectives[place].name);
  const value = (place) => (trial) => trial.search[place]?.value;
  const point = (trial) => (trial.search.length ? [value(x)(trial), value(y)(trial)] : undefined);
  // What was measured on test items belongs into the picture as much.
  const rangeOf = (place) => {
    const both = [focus(report, value(place)), focus(report, (trial) => trial.test?.[place]?.value)];
    return room(both.flatMap(({ min, max }) => [min, max]), 0);
  };
  const ranges = [rangeOf(x), rangeOf(y)];
  const outside = report.trials.filter((trial) => {
    const at = point(trial);
    return at && !(inside(ranges[0], at[0]) && inside(ranges[1], at[1]));
  }).length;
  const tested = report.trials.flatMap((trial, index) => (trial.test ? [{ trial, index }] : []));
  const axis = (place, range) => ({ type: "value", scale: true, ...range, inverse: report.objectives[place].minimize });
  const marked = trialSeries(report, theme, point);
  const { legend, space } = legendFor([
    ...entriesOf(marked), { name: "front of this pair", icon: DASH }, ...(tested.length ? [{ name: TEST_SCORES, icon: "circle" }] : []),
  ], width);
  return {
    name: `front-${fileName(names[0])}-${fileName(names[1])}`,
    title: `${names[0]} against ${names[1]}`,
    summary: ["better is up and to the right", outsideNote(outside)].filter(Boolean).join("; "),
    height: (width < 560 ? 380 : 450) + space,
    option: {
      grid: { left: 66, right: 24, top: space, bottom: 54 },
      legend,
      tooltip: trialTooltip(report, theme),
      xAxis: { ...axis(x, ranges[0]), ...xAxisName(names[0]) },
      yAxis: { ...axis(y, ranges[1]), ...yAxisName(names[1]) },
      series: [
        frontLine(report, theme, x, y),
        ...marked,
        ...testSeries(tested, theme, x, y),
      ],
    },
  };
}

/** The steps of what no trial betters in this pair. */
function frontLine(report, theme, x, y) {
  const sign = (place) => (report.objectives[place].minimize ? -1 : 1);
  const points = report.trials.filter((trial) => trial.search.length && trial.fitness !== null)
    .map((trial) => [trial.search[x].value, trial.search[y].value])
    .sort((one, other) => sign(x) * (other[0] - one[0]) || sign(y) * (other[1] - one[1]));
  let highest = -Infinity;
  const front = points.filter(([, value]) => {
    const better = sign(y) * value > highest;
    if (better) highest = sign(y) * value;
    return better;
  });
  return {
    name: "front of this pair", type: "line", step: "start", data: front.reverse(), symbol: "none", silent: true, z: 2, clip: true,
    lineStyle: { color: theme.blue, width: 1.2, type: "dashed" }, itemStyle: { color: theme.blue }, tooltip: { show: false },
  };
}

/** Test scores with their errors, tied to the search scores they belong to. */
function testSeries(tested, theme, x, y) {
  if (tested.length === 0) return [];
  const name = TEST_SCORES;
  const error = (score) => score.error ?? 0;
  const data = tested.map(({ trial: { test } }) => [test[x].value, test[y].value]);
  const bars = (way, place) => errorBars(name, tested.map(({ trial: { test } }, row) => [...data[row], error(test[place])]), theme.text, way);
  const ties = {
    name, type: "custom", silent: true, clip: true, z: 1, tooltip: { show: false },
    data: tested.map(({ trial }, row) => [...data[row], trial.search[x].value, trial.search[y].value]),
    renderItem(_, api) {
      const [from, to] = [api.coord([api.value(2), api.value(3)]), api.coord([api.value(0), api.value(1)])];
      return { type: "line", shape: { x1: from[0], y1: from[1], x2: to[0], y2: to[1] }, style: { stroke: theme.faint, lineWidth: 1 } };
    },
  };
  const points = {
    name, type: "scatter", symbol: "circle", symbolSize: 6, z: 2,
    itemStyle: { color: theme.surface, borderColor: theme.text, borderWidth: 1.5 },
    data: tested.map(({ index }, row) => ({ value: data[row], trial: index })),
  };
  // The legend shows the first one's mark.
  return [points, ties, bars("x", x), bars("y", y)];
}

/** A name as a part of a file's name. */
const fileName = (name) => name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "objective";
