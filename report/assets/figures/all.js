// All figures of a report, in the order of the page.

/**
 * A figure: `name` of its file, `title`, `summary` in one line, `height` in pixels, and ECharts' `option`.
 * Figures with nothing to show are left out.
 */
function allFigures(report, theme, width) {
  return [
    ...frontFigures(report, theme, width),
    convergenceFigure(report, theme, width),
    weightsFigure(report, theme, width),
    ownScoreFigure(report, theme, width),
    agreementFigure(report, theme, width),
    contributionFigure(report, theme, width),
    timelineFigure(report, theme, width),
  ].filter((figure) => figure !== undefined);
}
