// Perplexity of each data set, with its interval.
import { drawChart, visibleDatasets } from "../chart.js";
import { h } from "../dom.js";
import { figureFrame } from "../figure.js";
import { noIntervalNote } from "../interval_note.js";
import { present } from "../format.js";
import { datasetColour } from "../palette.js";

export function perplexitySpec({ rows, datasets, width }) {
  const values = rows.filter((row) => present(row.perplexity))
    .map((row) => ({ ...row, low: row.perplexity_low, high: row.perplexity_high }));
  const order = [...values].sort((a, b) => a.perplexity - b.perplexity).map((row) => row.dataset);
  const y = { field: "dataset", type: "nominal", sort: order, axis: { title: null, ticks: false, domain: false, grid: true, gridOpacity: 0.08 } };
  const x = (field) => ({
    field, type: "quantitative", scale: { type: "log", nice: false, padding: 24 },
    axis: { title: "perplexity (logarithmic)", tickCount: 8, format: "~r" },
  });
  const colour = {
    field: "dataset", type: "nominal", legend: null,
    scale: { domain: datasets, range: datasets.map((_, i) => datasetColour(i)) },
  };
  return {
    width, height: 23 * values.length,
    data: { values },
    transform: [visibleDatasets],
    layer: [
      {
        transform: [{ filter: "isValid(datum.low)" }],
        mark: { type: "rule", strokeWidth: 3, opacity: 0.45 },
        encoding: { y, x: x("low"), x2: { field: "high" }, color: colour },
      },
      {
        mark: { type: "circle", size: 80, opacity: 1, tooltip: true },
        encoding: {
          y, x: x("perplexity"), color: colour,
          tooltip: [
            { field: "dataset", title: "data set" }, { field: "perplexity", format: ".3f" },
            { field: "low", format: ".3f", title: "from" }, { field: "high", format: ".3f", title: "to" },
            { field: "mean_loss", format: ".4f", title: "mean loss, nats" },
            { field: "bits_per_byte", format: ".3f", title: "bits per byte" },
            { field: "predictions", format: ",", title: "tokens predicted" },
          ],
        },
      },
      {
        mark: { type: "text", align: "center", dy: -11, fontSize: 10.5, opacity: 0.85 },
        encoding: { y, x: x("perplexity"), text: { field: "perplexity", format: ".1f" } },
      },
    ],
  };
}

export function perplexityFigure(page) {
  if (!page.perplexity.some((row) => present(row.perplexity))) return null;
  const holder = h("div");
  drawChart(holder, "perplexity", "Perplexity by data set",
    (width) => perplexitySpec({ rows: page.perplexity, datasets: page.datasets, width }));
  return figureFrame({
    id: "perplexity",
    title: "How well the model predicts each data set",
    lead: "Perplexity per token over each data set, every token but the first of a chunk scored once in its own chunk.",
    body: [holder, noIntervalNote(page.perplexity)],
    howToRead: "Further left is better predicted; bars are 95 % intervals over units. Compare models by bits per byte (hover): "
      + "perplexity depends on the tokenizer.",
    command: page.commands.perplexity,
  });
}
