// What ECharts asks of a browser and needs not for a picture that stands still.
globalThis.setTimeout = () => 0;
globalThis.clearTimeout = () => {};
