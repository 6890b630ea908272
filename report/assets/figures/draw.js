// Figures as SVG text, each as it stands alone: for the program's files, and for what the page saves.

/** Width of the pictures of a report, in CSS pixels. */
const PICTURE_WIDTH = 860;

function drawOptions(options, width, height) {
  const chart = echarts.init(null, baseTheme(LIGHT), { renderer: "svg", ssr: true, width, height });
  chart.setOption({ animation: false, backgroundColor: LIGHT.surface, aria: { enabled: false }, ...options });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

const drawFigureAlone = (figure) => drawOptions(withTitle(figure, LIGHT), PICTURE_WIDTH, figure.height + TITLE_HEIGHT);

const drawReport = (report) =>
  allFigures(report, LIGHT, PICTURE_WIDTH).map((figure) => ({ name: figure.name, title: figure.title, svg: drawFigureAlone(figure) }));
