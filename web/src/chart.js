// One chart: a Vega-Lite specification drawn as SVG to the width of its holder, again when that
// changes, and following the page's switches of data sets. `drawnCharts` is what the page test reads.
import vegaEmbed from "vega-embed";
import { expressionInterpreter } from "vega-interpreter";

import { hiddenDatasets, onHiddenChange } from "./legend.js";

const kFont = "ui-sans-serif, system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

// Axes and text take the colour of the page's text, so light, dark and print need no redrawing.
const kConfig = {
  background: "transparent",
  font: kFont,
  view: { stroke: null },
  axis: {
    labelColor: "currentColor", titleColor: "currentColor", domainColor: "currentColor", tickColor: "currentColor",
    gridColor: "currentColor", gridOpacity: 0.1, domainOpacity: 0.35, tickOpacity: 0.35, labelOpacity: 0.75,
    titleOpacity: 0.75, labelFontSize: 11, titleFontSize: 11, titleFontWeight: "normal", titlePadding: 8,
  },
  header: { labelColor: "currentColor", titleColor: "currentColor", labelFontSize: 12, labelFontWeight: 600, titleFontSize: 12 },
  legend: { labelColor: "currentColor", titleColor: "currentColor", labelFontSize: 11, titleFontSize: 11, symbolStrokeColor: "currentColor" },
  title: { color: "currentColor", subtitleColor: "currentColor", anchor: "start", fontSize: 13, fontWeight: 600, subtitleFontSize: 11, offset: 10 },
  text: { color: "currentColor", font: kFont },
  rule: { color: "currentColor" },
  tick: { color: "currentColor" },
  line: { strokeCap: "round" },
};

const drawn = new Map();  // name -> {view, spec}
let pending = 0;

// A transform that drops the data sets switched off in the legend.
export const visibleDatasets = { filter: "indexof(hidden, datum.dataset) < 0" };

// Draws `specOf(width)` into `holder` and keeps it drawn. `name` is unique on the page; `description`
// is what a screen reader says. Specs may use the parameter `hidden`.
export function drawChart(holder, name, description, specOf) {
  holder.classList.add("chart");
  holder.setAttribute("role", "group");
  holder.setAttribute("aria-label", description);
  let drawnWidth = 0;
  const draw = async () => {
    const width = Math.floor(holder.clientWidth);
    if (width === 0 || !holder.isConnected) return;
    drawnWidth = width;
    pending++;
    try {
      const body = specOf(width);
      const spec = {
        ...body,
        description,
        params: [...(body.params ?? []), { name: "hidden", value: hiddenDatasets() }],
        autosize: { type: "fit-x", contains: "padding" },
      };
      drawn.get(name)?.finalize();
      const { view, finalize } = await vegaEmbed(holder, spec, {
        renderer: "svg",
        ast: true,  // with the interpreter: no code is made from strings, as the page's policy demands
        expr: expressionInterpreter,
        actions: { export: true, source: false, compiled: false, editor: false },
        downloadFileName: name,
        config: kConfig,
        tooltip: { theme: "custom" },
      });
      drawn.set(name, { view, finalize });
    } finally {
      pending--;
    }
  };
  let timer = 0;
  const observer = new ResizeObserver(() => {
    if (!holder.isConnected) {
      observer.disconnect();
      drawn.get(name)?.finalize();
      drawn.delete(name);
      return;
    }
    if (Math.abs(holder.clientWidth - drawnWidth) < 2) return;
    clearTimeout(timer);
    timer = setTimeout(draw, drawnWidth === 0 ? 0 : 150);
  });
  observer.observe(holder);
}

onHiddenChange((hidden) => {
  for (const { view } of drawn.values()) view.signal("hidden", hidden).runAsync();
});

// True once every chart asked for so far stands.
export const chartsSettled = () => pending === 0;
export const drawnCharts = () => Object.fromEntries([...drawn].map(([name, { view }]) => [name, view]));
