// The attention page, top to bottom.
import { chartsSettled, drawnCharts } from "../chart.js";
import { append, h } from "../dom.js";
import { readAttentionPage } from "./page_data.js";
import { headFigures } from "./head_figures.js";
import { headViews } from "./head_view.js";
import { modelView } from "./model_view.js";
import { howToRead, models } from "./provenance.js";
import { sinkRoutes } from "./sink_routes.js";
import { summary } from "./summary.js";
import { footer } from "../sections/footer.js";

function main() {
  const page = readAttentionPage();
  const heads = headViews(page);
  append(document.getElementById("page"), [
    summary(page),
    modelView(page, heads.open),
    heads.element,
    headFigures(page),
    sinkRoutes(page),
    howToRead(page),
    models(page),
    footer(),
  ]);
  globalThis.moescope = { page, charts: drawnCharts, settled: chartsSettled };
}

main();
