// Colours, letters and marks that all figures share. Colours are Okabe and Ito's, which differ for the colour-blind too; in
// black and white the marks' shapes, dashes and numbers tell what colours do.

const FONT = "'Liberation Sans', Arial, Helvetica, sans-serif";

/** Room above a figure for its title, where it stands alone. */
const TITLE_HEIGHT = 44;

const LIGHT = {
  surface: "#ffffff", text: "#1b1f24", muted: "#5b6570", grid: "#e4e7eb", faint: "#a9b2bb",
  blue: "#0072b2", orange: "#c4690a", green: "#007a5a", purple: "#9a4f86", red: "#c73e1d", sky: "#7fb8dd",
};

const DARK = {
  surface: "#15191e", text: "#e6e9ec", muted: "#a0a9b3", grid: "#2b323a", faint: "#5d6772",
  blue: "#5cb8f0", orange: "#f0a045", green: "#3ccfa4", purple: "#dd93c6", red: "#ff8562", sky: "#2f6f9c",
};

const STAR = "path://M0,-10 L2.6,-3.4 L9.6,-3.1 L4.2,1.3 L6,8.1 L0,4.3 L-6,8.1 L-4.2,1.3 L-9.6,-3.1 L-2.6,-3.4 Z";

/** Legend marks of lines. */
const LINE = "path://M0,4 L20,4 L20,6 L0,6 Z";
const DASH = "path://M0,4 L8,4 L8,6 L0,6 Z M12,4 L20,4 L20,6 L12,6 Z";

function baseTheme(theme) {
  const axis = {
    axisLine: { show: true, onZero: false, lineStyle: { color: theme.muted } },
    axisTick: { show: true, lineStyle: { color: theme.muted } },
    axisLabel: { color: theme.muted, fontSize: 12 },
    splitLine: { show: true, lineStyle: { color: theme.grid } },
    nameTextStyle: { color: theme.text, fontSize: 13 },
  };
  return {
    textStyle: { fontFamily: FONT, color: theme.text },
    color: [theme.blue, theme.orange, theme.green, theme.purple, theme.red, theme.faint],
    valueAxis: axis,
    logAxis: axis,
    categoryAxis: { ...axis, splitLine: { show: false } },
    legend: { textStyle: { color: theme.text, fontSize: 12 }, inactiveColor: theme.faint },
    title: { textStyle: { color: theme.text }, subtextStyle: { color: theme.muted } },
  };
}

/** A figure's options with its title and what it says, for where it stands alone. */
function withTitle(figure, theme) {
  const grids = [figure.option.grid].flat().map((grid) => ({ ...grid, top: grid.top + TITLE_HEIGHT }));
  const legends = [figure.option.legend ?? []].flat().map((legend) =>
    legend.top === undefined ? legend : { ...legend, top: legend.top + TITLE_HEIGHT });
  return {
    ...figure.option,
    grid: grids,
    legend: legends,
    title: {
      text: figure.title, subtext: figure.summary ?? "", left: 12, top: 8, itemGap: 6,
      textStyle: { color: theme.text, fontSize: 16, fontWeight: "bold" },
      subtextStyle: { color: theme.muted, fontSize: 12 },
    },
  };
}

const xAxisName = (name) => ({ name, nameLocation: "middle", nameGap: 30 });
const yAxisName = (name, nameGap = 48) => ({ name, nameLocation: "middle", nameGap, nameRotate: 90 });

/** A number with three digits after the point; with fewer where it is large, more where it is small. */
function shown(value) {
  if (value === null || value === undefined) return "-";
  const size = Math.abs(value);
  if (size !== 0 && size < 0.001) return value.toPrecision(2);
  return size < 100 ? value.toFixed(3) : value.toFixed(1);
}

/** A score with its standard error. */
const measured = (score) =>
  score ? shown(score.value) + (score.error === undefined ? "" : ` ± ${shown(score.error)}`) : "-";

/** A weight with its sign. */
const weighed = (weight) => (weight < 0 ? "−" : "") + Math.abs(weight).toFixed(2);

const percent = (share) => `${Math.round(share * 100)} %`;

/** Text as HTML shows it: names come from outside. */
const escaped = (text) =>
  String(text).replace(/[&<>"]/g, (character) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[character]);

/** An axis' ends and steps: round numbers around the values with a little room. */
function room(numbers, share = 0.05) {
  const values = numbers.filter(Number.isFinite);
  if (values.length === 0) return {};
  const low = Math.min(...values), high = Math.max(...values);
  const span = high - low || Math.abs(high) || 1;
  const power = 10 ** Math.floor(Math.log10(span / 5));
  const interval = [1, 2, 5, 10].map((factor) => factor * power).find((step) => span / step <= 9);
  const end = (value, way) => Number((way(value / interval) * interval).toPrecision(12));
  // Nothing below zero is shown of what has nothing there.
  const min = low >= 0 ? Math.max(low - span * share, 0) : low - span * share;
  return { min: end(min, Math.floor), max: end(high + span * share, Math.ceil), interval };
}

/** A legend over the figure and the room it takes: `entries` are names, or `{name, icon}`. */
function legendFor(entries, width) {
  const names = entries.map((entry) => entry.name ?? entry);
  // An entry's mark, gaps and letters of 12 pixels.
  const lines = names.reduce(({ count, used }, name) => {
    const length = 36 + name.length * 6.8;
    return used + length > width - 30 ? { count: count + 1, used: length } : { count, used: used + length };
  }, { count: 1, used: 0 }).count;
  return { legend: { top: 6, left: 8, right: 8, data: entries, itemGap: 14, itemWidth: 14, itemHeight: 11 }, space: 14 + lines * 27 };
}

/** Vertical or horizontal error bars, as a series over `[x, y, error]`. */
function errorBars(name, data, colour, way = "y", more = {}) {
  const dimension = way === "y" ? 1 : 0;
  return {
    name, type: "custom", silent: true, clip: true, z: 1, data, tooltip: { show: false },
    ...more,
    renderItem(_, api) {
      const at = (sign) => {
        const point = [api.value(0), api.value(1)];
        point[dimension] += sign * api.value(2);
        return api.coord(point);
      };
      const [low, high] = [at(-1), at(1)];
      const cap = way === "y" ? [3, 0] : [0, 3];
      const line = (from, to) => ({
        type: "line", shape: { x1: from[0], y1: from[1], x2: to[0], y2: to[1] }, style: { stroke: colour, lineWidth: 1.2 },
      });
      const capped = (end) => line([end[0] - cap[0], end[1] - cap[1]], [end[0] + cap[0], end[1] + cap[1]]);
      return { type: "group", children: [line(low, high), capped(low), capped(high)] };
    },
  };
}
