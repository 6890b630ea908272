// What figures ask about trials.

/** How each kind of trial is marked; `role` decides before the kind does. */
function marks(theme) {
  return {
    candidate: { label: "sampled merges", symbol: "circle", size: 5, colour: theme.faint },
    front: { label: "front", symbol: "circle", size: 9, colour: theme.blue },
    single: { label: "single checkpoints", symbol: "triangle", size: 10, colour: theme.orange },
    soup: { label: "soups", symbol: "rect", size: 9, colour: theme.green },
    greedy: { label: "greedy soup", symbol: "diamond", size: 12, colour: theme.purple },
    infeasible: { label: "breaks a constraint", symbol: "circle", size: 5, colour: theme.surface, border: theme.muted },
    best: { label: "best by search fitness", symbol: STAR, size: 17, colour: theme.red },
  };
}

/** Which mark a trial has. */
function markOf(report, index) {
  const { roles, trials } = report;
  if (index === roles.best) return "best";
  if (index === roles.greedy) return "greedy";
  const kind = trials[index].kind;
  if (kind === "single") return "single";
  if (roles.front.includes(index)) return "front";
  if (kind === "soup" || kind === "greedy") return "soup";
  return trials[index].fitness === null && trials[index].search.length > 0 ? "infeasible" : "candidate";
}

const INFEASIBLE = "It breaks a constraint, so that it has no fitness and is not on the front.";

/** Says that weights are means, where there are several groups of tensors. */
const groupsNote = (report) => (report.groups > 1 ? `means over ${report.groups} groups of tensors` : "");

/** Trials that are named in pictures. */
function named(report) {
  const { roles } = report;
  return new Set([roles.best, roles.bestSingle, roles.uniform, roles.greedy, roles.bestBaseline].filter((index) => index !== null));
}

/** The largest weights of a trial as `name weight`. */
function largestWeights(report, trial, count) {
  const order = trial.weights.map((weight, index) => ({ weight, name: report.checkpoints[index] }));
  order.sort((one, other) => Math.abs(other.weight) - Math.abs(one.weight));
  return order.filter(({ weight }) => Math.abs(weight) >= 0.005).slice(0, count);
}

/** What hovering a trial says. */
function tip(report, index) {
  const trial = report.trials[index];
  const rows = report.objectives.map((objective, place) => {
    const test = trial.test ? ` (test ${measured(trial.test[place])})` : "";
    return `<tr><td>${escaped(objective.name)}</td><td>${measured(trial.search[place])}${test}</td></tr>`;
  });
  if (trial.searchFitness) {
    const test = trial.testFitness ? ` (test ${measured(trial.testFitness)})` : "";
    rows.unshift(`<tr><td>fitness</td><td>${measured(trial.searchFitness)}${test}</td></tr>`);
  }
  if (markOf(report, index) === "infeasible") rows.push(`<tr><td colspan="2">${INFEASIBLE}</td></tr>`);
  const weights = largestWeights(report, trial, 5).map(({ name, weight }) => `${weighed(weight)} ${escaped(name)}`);
  const name = trial.name === trial.id ? "" : ` · ${escaped(trial.name)}`;
  return `<div class="tip"><b>${escaped(trial.id)}</b>${name}<table>${rows.join("")}</table>` +
    `<div class="weights">${weights.join("<br>")}</div></div>`;
}

/** A tooltip that tells the trial under the pointer. */
const trialTooltip = (report, theme) => ({
  trigger: "item", confine: true, backgroundColor: theme.surface, borderColor: theme.muted,
  textStyle: { color: theme.text, fontSize: 12 },
  formatter: (hovered) => (hovered.data?.trial === undefined ? escaped(hovered.name) : tip(report, hovered.data.trial)),
});

/** Points of trials as one series for each mark, so that the legend can hide them. `point(trial)` gives `[x, y]` or nothing,
    `side(index)` where a named trial's label stands. */
function trialSeries(report, theme, point, side = () => "left") {
  const names = named(report);
  return Object.entries(marks(theme)).map(([mark, { label, symbol, size, colour, border }], order) => ({
    name: label, type: "scatter", symbol, symbolSize: size, z: 3 + order,
    itemStyle: { color: colour, opacity: mark === "candidate" ? 0.75 : 1, borderColor: border ?? theme.surface, borderWidth: mark === "candidate" ? 0 : 1 },
    emphasis: { itemStyle: { borderColor: theme.text, borderWidth: 2 } },
    labelLayout: { moveOverlap: "shiftY" },
    data: report.trials.flatMap((trial, index) => {
      if (markOf(report, index) !== mark) return [];
      const value = point(trial, index);
      if (!value) return [];
      const label = { show: names.has(index), formatter: shortName(report, index), position: side(index), distance: 7,
        color: theme.text, fontSize: 12, textBorderColor: theme.surface, textBorderWidth: 3 };
      return [{ value, trial: index, label }];
    }),
  })).filter((series) => series.data.length > 0);
}

/** Legend entries of such series. */
const entriesOf = (series) => series.map(({ name, symbol }) => ({ name, icon: symbol }));

/** What a named trial is called in a picture. */
function shortName(report, index) {
  const { roles, trials } = report;
  if (index === roles.best) return trials[index].id;
  if (index === roles.greedy) return "greedy";
  if (index === roles.uniform) return "uniform";
  return trials[index].id.replace(/^single-/, "");
}

/** The part of an axis that matters: where front, samples and greedy soup lie, and other named ones that are not far off. */
function focus(report, value) {
  const { near, others } = important(report, value);
  if (near.length === 0) return others.length ? room(others) : {};
  const [low, high] = [Math.min(...near), Math.max(...near)];
  return room([...near, ...others.filter((number) => Math.abs(number - (low + high) / 2) <= 1.5 * (high - low))]);
}

function important(report, value) {
  const { roles, trials } = report;
  const of = (indices) => indices.map((index) => value(trials[index], index)).filter((number) => number !== undefined);
  const samples = of(trials.map((_, index) => index).filter((index) => trials[index].kind === "candidate")).sort((one, other) => one - other);
  // A few wild samples must not press the others together.
  const tails = samples.length ? [samples[Math.floor(samples.length * 0.02)], samples[Math.ceil(samples.length * 0.98) - 1]] : [];
  const chosen = [...roles.front.filter((index) => trials[index].kind !== "single"), roles.best, roles.greedy, roles.bestBaseline];
  const near = [...of(chosen.filter((index) => index !== null)), ...tails];
  const others = of([roles.bestSingle, roles.uniform].filter((index) => index !== null));
  return { near, others };
}

const inside = (range, value) => range.min === undefined || (value >= range.min && value <= range.max);

/** Says how many trials lie outside a picture; nothing when none does. */
const outsideNote = (count) => (count === 0 ? "" : `${count} ${count === 1 ? "trial lies" : "trials lie"} outside the picture`);
