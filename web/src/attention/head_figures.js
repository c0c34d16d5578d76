// Figures of all heads over the depth of the models: a dot a head, dashed what even attention has.
import { drawChart, visibleDatasets } from "../chart.js";
import { h, replace } from "../dom.js";
import { figureFrame, selectBox } from "../figure.js";
import { datasetLegend } from "../legend.js";
import { datasetColour } from "../palette.js";
import { kindOf } from "./kinds.js";

const kFigures = [
  { key: "sink", title: "weight on the first token", format: ".0%", tip: ".1%" },
  { key: "previous", title: "weight on the previous token", format: ".0%", tip: ".1%" },
  { key: "self", title: "weight on itself", format: ".0%", tip: ".1%" },
  { key: "entropy", title: "entropy in nats", format: ".1f", tip: ".2f" },
  { key: "distance", title: "mean distance in tokens", format: ".0f", tip: ".1f" },
];

// Heads of a layer stand side by side, models too: dots on one another could not be counted.
const kSpread = 0.62;
const placeOf = (model, models, head) => {
  const lane = (models.indexOf(model) + (head.head + 0.5) / model.n_heads) / models.length;
  return head.layer + kSpread * (lane - 0.5);
};

export function headFiguresSpec({ models, figure, width }) {
  const names = models.map((model) => model.name);
  const heads = models.flatMap((model) => model.heads.map((head) => ({
    ...head, dataset: model.name, place: placeOf(model, models, head), kind_title: kindOf(head.kind).title, even: model.even[figure.key],
  })));
  const depth = Math.max(...models.map((model) => model.n_layers));
  const even = models.flatMap((model) =>
    [-0.5, model.n_layers - 0.5].map((place) => ({ dataset: model.name, place, even: model.even[figure.key] })));
  const x = {
    field: "place", type: "quantitative", scale: { domain: [-0.5, depth - 0.5], nice: false },
    axis: { title: "layer", format: "d", values: Array.from({ length: depth }, (_, layer) => layer), labelOverlap: true, grid: false },
  };
  const y = { type: "quantitative", axis: { title: figure.title, format: figure.format, tickCount: 6 }, scale: { zero: true } };
  const range = names.map((_, index) => datasetColour(index));
  const colour = { field: "dataset", type: "nominal", legend: null, scale: { domain: names, range } };
  const shape = { field: "dataset", type: "nominal", legend: null, scale: { domain: names, range: ["circle", "diamond", "square", "triangle-up"] } };
  return {
    width, height: 320,
    layer: [
      {
        data: { values: even }, transform: [visibleDatasets],
        mark: { type: "line", strokeDash: [5, 4], strokeWidth: 1.3 },
        encoding: { x, y: { ...y, field: "even" }, color: colour },
      },
      {
        data: { values: heads }, transform: [visibleDatasets],
        mark: { type: "point", filled: true, size: 42, opacity: 0.85, tooltip: true },
        encoding: {
          x, y: { ...y, field: figure.key }, color: colour, shape,
          tooltip: [
            { field: "dataset", title: "model" }, { field: "layer" }, { field: "head" }, { field: "kind_title", title: "mostly looks at" },
            { field: figure.key, title: figure.title, format: figure.tip }, { field: "even", title: "even attention", format: figure.tip },
          ],
        },
      },
    ],
  };
}

export function headFigures(page) {
  const body = h("div");
  const draw = (key) => {
    const figure = kFigures.find((candidate) => candidate.key === key);
    const holder = h("div");
    replace(body, holder);
    drawChart(holder, `heads-${key}`, `Heads by layer, ${figure.title}`, (width) => headFiguresSpec({ models: page.models, figure, width }));
  };
  draw("sink");
  const several = page.models.length > 1;
  return figureFrame({
    id: "head-figures",
    title: "Heads through the depth of the model",
    lead: "Each dot is one head; means over all tokens of the text but the first, which sees only itself.",
    controls: [
      selectBox({ label: "Figure", options: kFigures.map(({ key, title }) => [key, title]), value: "sink", onChange: draw }),
      several ? datasetLegend(page.models.map((model) => model.name), "Models shown") : null,
    ],
    body,
    howToRead: "The dashed line is the null: what a head would have that spreads its weight evenly over all it sees. In a short text it is high for the first and "
      + "the previous token, simply because there is little else to look at; what counts is the height above it.",
  });
}
