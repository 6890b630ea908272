// When trials ran: one bar a trial, in as many lanes as ran at the same time.

function timelineFigure(report, theme, width) {
  const spans = report.timeline?.spans ?? [];
  if (spans.length === 0) return undefined;
  const longest = Math.max(...spans.map(({ ended }) => ended));
  const [unit, factor] = longest > 5400 ? ["hours", 3600] : longest > 180 ? ["minutes", 60] : ["seconds", 1];
  const { lanes, count } = inLanes(spans);
  const stages = [...new Set(spans.map(({ stage }) => stage))];
  const colours = [theme.orange, theme.blue, theme.green];
  const { busy, parallelTrials, interruptions } = report.timeline;
  const stopped = interruptions === 0 ? "" : `; ${interruptions} ${interruptions === 1 ? "interruption" : "interruptions"} not counted`;
  const index = new Map(report.trials.map((trial, place) => [trial.id, place]));
  const height = Math.min(Math.max(count * 26, 60), 520);
  return {
    name: "timeline",
    title: "Timeline of trials",
    summary: [
      busy === null ? "" : `${parallelTrials} ${parallelTrials === 1 ? "trial" : "trials"} at a time: ${percent(busy)} of that was used${stopped}`, "the pale part of a bar is the merge",
    ].filter(Boolean).join("; "),
    height: height + 104,
    option: {
      grid: { left: 66, right: 24, top: 42, bottom: 54 },
      legend: { top: 8, left: 12 },
      tooltip: {
        confine: true, backgroundColor: theme.surface, borderColor: theme.muted, textStyle: { color: theme.text, fontSize: 12 },
        formatter: ({ data: { name, value } }) => `<div class="tip"><b>${escaped(name)}</b><br>${((value[2] - value[0]) * factor).toFixed(1)} s, from ${value[0].toFixed(2)} to ${value[2].toFixed(2)} ${unit}</div>`,
      },
      xAxis: { type: "value", min: 0, max: Math.ceil(longest / factor * 100) / 100, axisLabel: { formatter: (value) => String(Number(value.toPrecision(4))) }, ...xAxisName(unit) },
      yAxis: { type: "category", data: Array.from({ length: count }, (_, lane) => String(lane + 1)), axisLabel: { show: count <= 32 } },
      series: stages.map((stage, order) => ({
        name: stage, type: "custom", clip: true, itemStyle: { color: colours[order % colours.length] }, encode: { x: [0, 2], y: 3 },
        data: spans.flatMap((span, place) => (span.stage === stage
          ? [{ name: span.id, trial: index.get(span.id.replace(/^final-/, "")), value: [span.started / factor, (span.merged ?? span.started) / factor, span.ended / factor, lanes[place]] }]
          : [])),
        renderItem: bar(theme, colours[order % colours.length]),
      })),
    },
  };
}

function bar(theme, colour) {
  return (_, api) => {
    const at = (dimension) => api.coord([api.value(dimension), api.value(3)]);
    const thickness = Math.max(Math.min(api.size([0, 1])[1] * 0.7, 18), 1);
    const part = (from, to, opacity) => ({
      type: "rect", shape: { x: from[0], y: from[1] - thickness / 2, width: Math.max(to[0] - from[0], 0.6), height: thickness },
      style: { fill: colour, opacity, stroke: theme.surface, lineWidth: 0.4 },
    });
    return { type: "group", children: [part(at(0), at(1), 0.4), part(at(1), at(2), 1)] };
  };
}

/** The first free lane for each span. */
function inLanes(spans) {
  const free = [];
  const lanes = new Array(spans.length);
  const order = spans.map((_, place) => place).sort((one, other) => spans[one].started - spans[other].started);
  for (const place of order) {
    const { started, ended } = spans[place];
    let lane = free.findIndex((until) => until <= started + 1e-6);
    if (lane < 0) lane = free.length;
    free[lane] = ended;
    lanes[place] = lane;
  }
  return { lanes, count: free.length };
}
