// Figure 7 of the Mixtral paper (and 9, by choice): how the assignments of each data set spread over
// the experts, one chart a layer, a dashed line where an even spread would be.
import { drawChart, visibleDatasets } from "../chart.js";
import { h, replace } from "../dom.js";
import { figureFrame, layerPicker, selectBox } from "../figure.js";
import { datasetLegend } from "../legend.js";
import { datasetColour } from "../palette.js";

const kChoices = [["either", "any of the chosen"], ["first", "first choice"], ["second", "second choice"]];

// Narrower bars than this are unreadable: the chart then shows dots.
const kNarrowestBar = 2.5;

export function expertSharesSpec({ rows, datasets, nExperts, layer, width, height }) {
  const bars = (width - 70) / (nExperts * (datasets.length + 1)) >= kNarrowestBar;
  const highest = rows.reduce((top, row) => Math.max(top, row.share), 0);
  const colour = {
    field: "dataset", type: "nominal", legend: null,
    scale: { domain: datasets, range: datasets.map((_, i) => datasetColour(i)) },
  };
  const marks = {
    transform: [visibleDatasets],
    mark: bars ? { type: "bar", tooltip: true } : { type: "point", filled: true, size: 22, opacity: 0.8, tooltip: true },
    encoding: {
      x: {
        field: "expert", type: "ordinal", scale: bars ? { paddingInner: 0.18, paddingOuter: 0.1 } : { padding: 0.6 },
        axis: { title: "expert", labelAngle: 0, ticks: false, labelOverlap: true, labelSeparation: 5 },
      },
      ...(bars ? { xOffset: { field: "dataset", type: "nominal", sort: datasets } } : {}),
      y: {
        field: "share", type: "quantitative", scale: { domain: [0, Math.max(highest, 1 / nExperts) * 1.05], nice: true },
        axis: { title: "share of assignments", format: "%", tickCount: 5 },
      },
      color: colour,
      tooltip: [
        { field: "dataset", title: "data set" }, { field: "expert" },
        { field: "share", format: ".2%", title: "share" },
        { field: "ratio", format: ".2f", title: "times 1/E" },
      ],
    },
  };
  return {
    title: `Layer ${layer}`,
    width, height,
    data: { values: rows.map((row) => ({ ...row, ratio: row.share * nExperts })) },
    layer: [
      marks,
      {
        data: { values: [{ even: 1 / nExperts }] },
        mark: { type: "rule", strokeDash: [5, 4], strokeWidth: 1.2, opacity: 0.8 },
        encoding: { y: { field: "even", type: "quantitative" } },
      },
    ],
  };
}

export function expertSharesFigure(page) {
  if (page.shares.length === 0) return null;
  const { run, datasets, layers } = page;
  let choice = "either";
  let shown = page.shown_layers;
  const small = run.n_experts * datasets.length <= 40;
  const grid = h("div", { class: small ? "grid" : "stack" });
  const draw = () => {
    replace(grid, shown.map((layer) => {
      const rows = page.shares.filter((row) => row.layer === layer && row.choice === choice);
      const holder = h("div");
      drawChart(holder, `figure7-layer${layer}`, `Shares of assignments by expert and data set, layer ${layer}, ${choice} choice`,
        (width) => expertSharesSpec({ rows, datasets, nExperts: run.n_experts, layer, width, height: small ? 190 : 170 }));
      return holder;
    }));
  };
  draw();
  const choices = kChoices.slice(0, run.experts_per_token > 1 ? 3 : 1);
  return figureFrame({
    id: "figure-7",
    title: "Which experts each kind of text uses",
    lead: "The share of each data set's assignments that goes to each expert (Figure 7 of the Mixtral paper).",
    controls: [
      layerPicker({ layers, chosen: shown, several: true, onChange: (next) => { shown = next; draw(); } }),
      choices.length > 1
        ? selectBox({ label: "Choice", options: choices, value: choice, onChange: (next) => { choice = next; draw(); } }) : null,
      datasetLegend(datasets),
    ],
    body: grid,
    howToRead: [
      `The bars of one colour in one layer add up to 100 %; the dashed line, 1/E = ${(100 / run.n_experts).toPrecision(3)} %, is where all would `
      + "stand if text made no difference and every expert were used evenly. Flat bars say little about what experts "
      + "learned when the model was trained with a load-balancing loss.",
    ],
    command: page.commands.figure7,
  });
}
