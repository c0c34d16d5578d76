// Table 5 of the Mixtral paper: how often consecutive tokens share their expert, as dots with
// intervals beside the values chance alone would give.
import { drawChart, visibleDatasets } from "../chart.js";
import { h, replace } from "../dom.js";
import { figureFrame, layerPicker } from "../figure.js";
import { datasetLegend } from "../legend.js";
import { datasetColour } from "../palette.js";

export const kMeasures = [
  { key: "first_repeat", title: "same first choice" },
  { key: "any_overlap", title: "at least one chosen expert in common" },
];

export const kNulls = [
  { key: "uniform", title: "uniform", shape: null, says: "every expert equally likely" },
  { key: "marginal", title: "marginal", shape: "triangle-down", says: "two independent draws from the data set's own use of experts" },
  { key: "shuffle", title: "shuffle", shape: "diamond", says: "the same decisions in random order within each sequence" },
  { key: "token", title: "token identity", shape: "cross", says: "the decision another document made for the same token, on the pairs where there is one" },
];

const kPointNulls = kNulls.filter((n) => n.shape);

// One row per null that has a mark of its own; the uniform one is the same for all data sets: a line.
const long = (rows, measure) => rows.flatMap((row) =>
  kPointNulls.map((n) => ({
    dataset: row.dataset, layer: row.layer, key: n.key, null: n.title, value: row[`${measure}_null_${n.key}`],
    observed: row[n.key === "token" ? `${measure}_token_covered` : measure],
  })).filter((entry) => entry.value !== null && entry.value !== undefined));

export function repetitionSpec({ rows, datasets, measure, layer, width, withLabels }) {
  const colour = {
    field: "dataset", type: "nominal", legend: null,
    scale: { domain: datasets, range: datasets.map((_, i) => datasetColour(i)) },
  };
  const y = {
    field: "dataset", type: "nominal", sort: datasets,
    axis: { title: null, labels: withLabels, ticks: false, domain: false, grid: true, gridOpacity: 0.08, labelLimit: 120 },
  };
  const x = (field) => ({
    field, type: "quantitative", scale: { zero: false, nice: true, padding: 6 },
    axis: { title: "share of pairs", format: ".0%", tickCount: 5, labelOverlap: true, labelSeparation: 4 },
  });
  const values = rows.map((row) => ({
    dataset: row.dataset, layer: row.layer, value: row[measure], low: row[`${measure}_low`], high: row[`${measure}_high`], pairs: row.pairs,
  }));
  return {
    title: `Layer ${layer}`,
    width, height: 19 * datasets.length,
    data: { values },
    transform: [visibleDatasets],
    layer: [
      {
        data: { values: [{ uniform: rows[0]?.[`${measure}_null_uniform`] }] },
        mark: { type: "rule", strokeDash: [4, 3], opacity: 0.7 },
        encoding: { x: x("uniform") },
      },
      {
        data: { values: long(rows, measure) },
        transform: [visibleDatasets],
        mark: { type: "point", size: 46, strokeWidth: 1.3, opacity: 0.75, stroke: "currentColor", tooltip: true },
        encoding: {
          y, x: x("value"),
          shape: {
            field: "null", type: "nominal", legend: null,
            scale: { domain: kPointNulls.map((n) => n.title), range: kPointNulls.map((n) => n.shape) },
          },
          fill: { condition: { test: "datum.null === 'token identity'", value: "currentColor" }, value: "transparent" },
          tooltip: [
            { field: "dataset", title: "data set" }, { field: "null", title: "null" },
            { field: "value", format: ".2%", title: "expected" },
            { field: "observed", format: ".2%", title: "observed there" },
          ],
        },
      },
      {
        transform: [{ filter: "isValid(datum.low)" }],
        mark: { type: "rule", strokeWidth: 3, opacity: 0.45 },
        encoding: { y, x: x("low"), x2: { field: "high" }, color: colour },
      },
      {
        mark: { type: "circle", size: 70, opacity: 1, tooltip: true },
        encoding: {
          y, x: x("value"), color: colour,
          tooltip: [
            { field: "dataset", title: "data set" }, { field: "value", format: ".2%", title: "observed" },
            { field: "low", format: ".2%", title: "from" }, { field: "high", format: ".2%", title: "to" },
            { field: "pairs", format: ",", title: "pairs" },
          ],
        },
      },
    ],
  };
}

function nullKey() {
  const shape = { "triangle-down": "▽", diamond: "◇", cross: "✚" };
  return h("ul", { class: "key" },
    h("li", {}, h("span", { class: "symbol" }, "●"), h("b", {}, "observed"), ", with its 95 % interval"),
    kNulls.map((n) => h("li", {}, h("span", { class: "symbol" }, shape[n.shape] ?? "┆"), h("b", {}, n.title), `: ${n.says}`)));
}

export function repetitionFigure(page, table) {
  if (page.repetition.length === 0) return null;
  let shown = page.shown_layers;
  const body = h("div");
  const draw = () => replace(body, kMeasures.map((measure) => [
    h("h3", {}, `Consecutive tokens: ${measure.title}`),
    h("div", { class: "grid" }, shown.map((layer) => {
      const rows = page.repetition.filter((row) => row.layer === layer);
      const holder = h("div");
      drawChart(holder, `table5-${measure.key}-layer${layer}`, `Repetition, ${measure.title}, layer ${layer}`,
        (width) => repetitionSpec({ rows, datasets: page.datasets, measure: measure.key, layer, width, withLabels: true }));
      return holder;
    })),
  ]), table(shown));
  draw();
  return figureFrame({
    id: "table-5",
    title: "Do consecutive tokens keep their expert?",
    lead: "The share of neighbouring tokens that are sent to the same expert (Table 5 of the Mixtral paper), beside what chance gives.",
    controls: [
      layerPicker({ layers: page.layers, chosen: shown, several: true, onChange: (next) => { shown = next; draw(); } }),
      datasetLegend(page.datasets), nullKey(),
    ],
    body,
    howToRead: "A dot right of a mark is repetition beyond what that null explains: beyond the marginal null it is not mere popularity of an "
      + "expert, beyond token identity it is more than the same words being routed the same way.",
    command: page.commands.table5,
  });
}
