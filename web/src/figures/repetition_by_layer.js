// Figure 10 of the Mixtral paper: repetition over the depth of the model, a line per data set, with
// the range of the marginal null behind and the uniform null dashed.
import { drawChart, visibleDatasets } from "../chart.js";
import { h } from "../dom.js";
import { figureFrame } from "../figure.js";
import { datasetLegend } from "../legend.js";
import { datasetColour } from "../palette.js";
import { kMeasures } from "./repetition.js";

export function repetitionByLayerSpec({ rows, datasets, measure, width }) {
  const x = { field: "layer", type: "quantitative", axis: { title: "layer", format: "d", tickMinStep: 1, grid: false }, scale: { nice: false } };
  const y = { type: "quantitative", scale: { zero: false, nice: true }, axis: { title: "share of pairs", format: ".0%", tickCount: 6 } };
  const colour = {
    field: "dataset", type: "nominal", legend: null,
    scale: { domain: datasets, range: datasets.map((_, i) => datasetColour(i)) },
  };
  const marginal = `${measure.key}_null_marginal`;
  return {
    title: measure.title[0].toUpperCase() + measure.title.slice(1),
    width, height: 260,
    data: { values: rows },
    transform: [visibleDatasets],
    layer: [
      {
        mark: { type: "area", color: "currentColor", opacity: 0.1 },
        encoding: {
          x, y: { ...y, field: marginal, aggregate: "min" }, y2: { field: marginal, aggregate: "max" },
        },
      },
      {
        mark: { type: "line", strokeDash: [5, 4], strokeWidth: 1.2, opacity: 0.8, stroke: "currentColor" },
        encoding: { x, y: { ...y, field: `${measure.key}_null_uniform`, aggregate: "mean" } },
      },
      { mark: { type: "line", strokeWidth: 1.6, interpolate: "monotone" }, encoding: { x, y: { ...y, field: measure.key }, color: colour } },
      {
        mark: { type: "circle", size: 34, opacity: 1, tooltip: true },
        encoding: {
          x, y: { ...y, field: measure.key }, color: colour,
          tooltip: [
            { field: "dataset", title: "data set" }, { field: "layer" }, { field: measure.key, format: ".2%", title: "observed" },
            { field: marginal, format: ".2%", title: "marginal null" },
            { field: `${measure.key}_null_token`, format: ".2%", title: "token-identity null" },
          ],
        },
      },
    ],
  };
}

export function repetitionByLayerFigure(page) {
  if (page.repetition.length === 0) return null;
  const holders = kMeasures.map((measure) => {
    const holder = h("div");
    drawChart(holder, `figure10-${measure.key}`, `Repetition by layer, ${measure.title}`,
      (width) => repetitionByLayerSpec({ rows: page.repetition, datasets: page.datasets, measure, width }));
    return holder;
  });
  return figureFrame({
    id: "figure-10",
    title: "Repetition through the depth of the model",
    lead: "The same two shares at every layer (Figure 10 of the Mixtral paper).",
    controls: [datasetLegend(page.datasets)],
    body: h("div", { class: "grid two" }, holders),
    howToRead: "Height above the grey band (the range of the marginal null over the data sets shown) is locality that popularity does not "
      + "explain; the dashed line is the uniform null.",
    command: page.commands.figure10,
  });
}
