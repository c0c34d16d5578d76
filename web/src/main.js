// The page, top to bottom. A new figure is a file in figures/ and a line here.
import { append } from "./dom.js";
import { chartsSettled, drawnCharts } from "./chart.js";
import { colouredTextFigure } from "./figures/coloured_text.js";
import { expertSharesFigure } from "./figures/expert_shares.js";
import { perplexityFigure } from "./figures/perplexity.js";
import { repetitionByLayerFigure } from "./figures/repetition_by_layer.js";
import { repetitionFigure } from "./figures/repetition.js";
import { repetitionTable } from "./figures/repetition_table.js";
import { expertTokensFigure, tokenExpertsFigure } from "./figures/token_views.js";
import { readPageData } from "./page_data.js";
import { footer } from "./sections/footer.js";
import { findings, header } from "./sections/header.js";
import { limits, provenance } from "./sections/provenance.js";

function main() {
  const page = readPageData();
  append(document.getElementById("page"), [
    header(page),
    findings(page),
    expertSharesFigure(page),
    repetitionFigure(page, (shown) => repetitionTable(page, shown)),
    repetitionByLayerFigure(page),
    perplexityFigure(page),
    colouredTextFigure(page),
    expertTokensFigure(page),
    tokenExpertsFigure(page),
    provenance(page),
    limits(page),
    footer(),
  ]);
  globalThis.moescope = { page, charts: drawnCharts, settled: chartsSettled };
}

main();
