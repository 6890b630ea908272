// The page: head, tables, figures, and what a click on a trial shows.

const report = JSON.parse(document.getElementById("data").textContent);

/** The parts that there are. */
const present = (...parts) => parts.flat().filter((part) => part !== undefined && part !== null && part !== false);

/** An element with its properties and children; texts are never read as HTML. */
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...present(children.flat()));
  return made;
}

function head() {
  const judgement = report.judgement;
  return [
    element("h1", {}, report.name),
    element("p", { className: "state" }, report.state),
    judgement && element("p", { className: "judgement" }, judgement.sentence),
    ...[...(judgement?.warnings ?? []), ...report.warnings].map((text) => element("p", { className: "warning" }, `Warning: ${text}`)),
    element("dl", { className: "facts" }, report.facts.map(({ name, value }) => element("div", {}, element("dt", {}, name), element("dd", {}, value)))),
  ];
}

/** Baselines and front by stage: one column for each metric and stage. */
function scoreTable() {
  const { roles, trials, objectives, heldOut } = report;
  const hasTest = trials.some((trial) => trial.test);
  const hasHeldOut = trials.some((trial) => trial.heldOut);
  const columns = [
    { stage: "search", name: "fitness", score: (trial) => trial.searchFitness },
    ...objectives.map((metric, place) => ({ stage: "search", ...metric, score: (trial) => trial.search[place] })),
    ...(hasTest ? [
      { stage: "test", name: "fitness", score: (trial) => trial.testFitness },
      { stage: "test", name: "gain", score: (trial) => trial.testFitnessGain, signed: true },
      ...objectives.map((metric, place) => ({ stage: "test", ...metric, score: (trial) => trial.test?.[place] })),
    ] : []),
    ...(hasHeldOut ? heldOut.map((metric, place) => ({ stage: "held-out", ...metric, score: (trial) => trial.heldOut?.[place] })) : []),
  ];
  const isSampled = (index) => ["candidate", "mean"].includes(trials[index].kind);
  const baselines = [
    roles.base, roles.bestSingle, roles.uniform, ...trials.flatMap((trial, index) => (trial.kind === "soup" ? [index] : [])), roles.greedy,
    roles.bestBaseline, ...roles.front.filter((index) => !isSampled(index)),
  ];
  const searched = [...roles.front.filter(isSampled), roles.best, roles.finalMean];
  const unique = (indices) => [...new Set(indices.filter((index) => index !== null))];
  const rows = { baselines: unique(baselines), "searched merges": unique(searched) };
  const all = Object.values(rows).flat();
  // The best of each column in bold: of all that are shown.
  const best = columns.map(({ score, minimize }) => {
    const values = all.map((index) => score(trials[index])?.value).filter((value) => value !== undefined);
    return minimize ? Math.min(...values) : Math.max(...values);
  });
  const starts = columns.map((column, place) => place === 0 || columns[place - 1].stage !== column.stage);
  const cell = (column, place, trial) => {
    const score = column.score(trial);
    const classes = [starts[place] && "group-start", score && score.value === best[place] && "best"].filter(Boolean).join(" ");
    if (!score) return element("td", { className: classes }, "-");
    const text = (column.signed && score.value > 0 ? "+" : "") + shown(score.value);
    const error = score.error === undefined ? undefined : element("span", { className: "error" }, ` ± ${shown(score.error)}`);
    return element("td", { className: classes }, text, error);
  };
  const label = (index) => {
    const mark = index === roles.best ? "★ " : "";
    const name = element("button", { type: "button", onclick: () => showTrial(index) }, trials[index].name);
    name.dataset.trial = trials[index].id;
    return element("td", {}, mark, name, roles.front.includes(index) ? " +" : "");
  };
  const stages = [...new Set(columns.map(({ stage }) => stage))];
  return element("table", { className: "scores" },
    element("thead", {},
      element("tr", {}, element("th"), stages.map((stage) =>
        element("th", { colSpan: columns.filter((column) => column.stage === stage).length, className: "group-start" }, `${stage} items`))),
      element("tr", {}, element("th"), columns.map(({ name, minimize }, place) =>
        element("th", { className: starts[place] ? "group-start" : "" }, name, minimize ? " ↓" : "")))),
    element("tbody", {}, Object.entries(rows).filter(([, indices]) => indices.length).map(([part, indices]) => [
      element("tr", { className: "part" }, element("td", { colSpan: columns.length + 1 }, part)),
      ...indices.map((index) => element("tr", {}, label(index), columns.map((column, place) => cell(column, place, trials[index])))),
    ]).flat()));
}

/** What is known of a trial, in the corner of the page. */
function showTrial(index) {
  const trial = report.trials[index];
  const row = (name, ...cells) => element("tr", {}, element("td", {}, name), cells.map((text) => element("td", {}, text)));
  const scores = report.objectives.map(({ name }, place) => row(name, measured(trial.search[place]), trial.test ? measured(trial.test[place]) : ""));
  const heldOut = (trial.heldOut ?? []).map((score, place) => row(report.heldOut[place].name, "", measured(score)));
  const weights = largestWeights(report, trial, 40);
  const widest = Math.max(...weights.map(({ weight }) => Math.abs(weight)), 0.01);
  const bars = weights.map(({ name, weight }) => {
    const bar = element("span", { className: weight < 0 ? "bar negative" : "bar" });
    bar.style.width = `${(Math.abs(weight) / widest) * 90}px`;
    return element("tr", {}, element("td", {}, name), element("td", {}, weighed(weight)), element("td", { className: "bars" }, bar));
  });
  const hidden = trial.weights.length - weights.length;
  const detail = document.getElementById("detail");
  const isInfeasible = trial.fitness === null && trial.search.length > 0;
  detail.replaceChildren(...present(
    element("button", { className: "close", type: "button", ariaLabel: "Close", onclick: () => { detail.hidden = true; } }, "×"),
    element("h3", {}, trial.name),
    trial.failure && element("p", { className: "warning" }, `Failed: ${trial.failure}`),
    isInfeasible && element("p", { className: "warning" }, INFEASIBLE),
    element("table", {}, element("tr", {}, element("td"), element("td", {}, "search"), element("td", {}, trial.test ? "test" : "")),
      row("fitness", measured(trial.searchFitness), trial.testFitness ? measured(trial.testFitness) : ""), scores, heldOut),
    trial.parameters && element("p", { className: "caption" }, trial.parameters),
    weights.length > 0 && element("p", { className: "caption" }, ["weights", groupsNote(report)].filter(Boolean).join(", "), ":"),
    element("table", {}, bars),
    weights.length > 0 && hidden > 0 && element("p", { className: "caption" }, `${hidden} more below 0.005 or smaller than these`),
    command(index),
  ));
  detail.hidden = false;
}

/** How the recipe is printed, where that can be. */
function command(index) {
  const { trials, roles, exportCommand, exportsAll } = report;
  const isKept = exportsAll || roles.front.includes(index) || !["candidate", "mean"].includes(trials[index].kind);
  return isKept
    ? element("code", {}, exportCommand.replace("TRIAL", trials[index].id))
    : element("p", { className: "caption" }, "Of the merges outside the front only these weights are shown; the journal has all of them.");
}

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const charts = [];

/** Draws or redraws every figure for the colours and the width of the moment. */
function drawFigures() {
  charts.splice(0).forEach((chart) => chart.dispose());
  const theme = dark.matches ? DARK : LIGHT;
  const container = document.getElementById("figures");
  const width = container.clientWidth;
  const figures = allFigures(report, theme, width);
  container.replaceChildren(...figures.map((figure) => {
    const chart = element("div", { className: "chart", id: `figure-${figure.name}` });
    chart.style.height = `${figure.height}px`;
    return element("section", {}, element("h2", {}, figure.title), element("p", { className: "summary" }, figure.summary ?? ""),
      element("figure", {}, chart), saving(figure.name));
  }));
  for (const figure of figures) drawFigure(document.getElementById(`figure-${figure.name}`), figure, theme);
}

function drawFigure(place, figure, theme) {
  const chart = echarts.init(place, baseTheme(theme), { renderer: "svg" });
  chart.setOption({ animation: false, aria: { enabled: true, label: { description: `${figure.title}. ${figure.summary ?? ""}` } }, ...figure.option });
  chart.on("click", ({ data }) => data?.trial !== undefined && showTrial(data.trial));
  charts.push(chart);
}

/** A button that saves a figure as the program's files have it. */
function saving(figure) {
  const save = () => {
    const { svg } = drawReport(report).find(({ name }) => name === figure);
    const file = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
    element("a", { href: file, download: `${report.name}-${figure}.svg` }).click();
  };
  return element("p", { className: "files" }, element("button", { type: "button", onclick: save }, "save as SVG"));
}

document.getElementById("report").append(
  ...present(head()),
  element("h2", {}, "Baselines and front"),
  element("p", { className: "caption" }, "★ is the best merge by search fitness, + is on the front, ↓ means that less is better; the best of each column is bold. Trials are chosen by search items and judged by test items, which steered nothing. The gain is over the best baseline by search fitness. ± is one standard error."),
  element("div", { className: "scroll" }, scoreTable()),
  element("div", { id: "figures" }),
  element("footer", {}, "Made by mergesearch. Pictures by Apache ECharts (Apache-2.0)."),
);
drawFigures();
dark.addEventListener("change", drawFigures);
let drawnWidth = window.innerWidth;
let resizing;
window.addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => {
    // A phone's address bar changes the height alone.
    if (window.innerWidth !== drawnWidth) {
      drawnWidth = window.innerWidth;
      drawFigures();
    }
  }, 150);
});
document.addEventListener("keydown", ({ key }) => {
  if (key === "Escape") document.getElementById("detail").hidden = true;
});
