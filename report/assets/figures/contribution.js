// Leave-one-out: what each checkpoint contributes to a merge.

function contributionFigure(report, theme, width) {
  const contribution = report.contribution;
  const known = (contribution?.checkpoints ?? []).filter(({ gain }) => gain);
  if (known.length === 0) return undefined;
  // ECharts counts rows from below.
  const rows = [...known].sort((one, other) => one.gain.value - other.gain.value);
  const ends = rows.flatMap(({ gain: { value, error = 0 } }) => [value - error, value + error]);
  const failed = contribution.checkpoints.length - known.length;
  return {
    name: "contribution",
    title: `What each checkpoint contributes to ${contribution.of}`,
    summary: ["test fitness of the merge minus that without the checkpoint, ± 1 standard error", failed ? `${failed} not known` : ""].filter(Boolean).join("; "),
    height: 70 + rows.length * 22,
    option: {
      grid: { left: Math.min(170, width * 0.35), right: 24, top: 8, bottom: 54 },
      tooltip: {
        confine: true, backgroundColor: theme.surface, borderColor: theme.muted, textStyle: { color: theme.text, fontSize: 12 },
        formatter: ({ dataIndex }) => `<div class="tip"><b>${escaped(rows[dataIndex].name)}</b><br>weight ${weighed(rows[dataIndex].weight)}<br>contributes ${measured(rows[dataIndex].gain)}</div>`,
      },
      xAxis: { type: "value", ...room([0, ...ends]), ...xAxisName("contribution to test fitness") },
      yAxis: { type: "category", data: rows.map(({ name, weight }) => `${name} (${weighed(weight)})`), axisLabel: { color: theme.text, interval: 0 }, axisTick: { show: false }, axisLine: { onZero: true } },
      series: [
        {
          name: "contribution", type: "bar", barWidth: "60%",
          data: rows.map(({ gain }) => ({ value: gain.value, itemStyle: { color: gain.value < 0 ? theme.orange : theme.blue } })),
        },
        errorBars("± 1 standard error", rows.map(({ gain }, place) => [gain.value, place, gain.error ?? 0]), theme.text, "x", { z: 5 }),
      ],
    },
  };
}
