// The page, top to bottom. A new figure is a template in web/charts and an entry of the catalogue.
import { append } from "./dom.js";
import { chartsSettled, drawnCharts } from "./chart.js";
import { kPerplexityFigure, kRepetitionFigures, kSharesFigure, kStructureFigures } from "./figures/catalogue.js";
import { colouredTextFigure } from "./figures/coloured_text.js";
import { tableFigure } from "./figures/table_figure.js";
import { expertTokensFigure, tokenExpertsFigure } from "./figures/token_views.js";
import { readPageData } from "./page_data.js";
import { absent, claims } from "./sections/claims.js";
import { contents } from "./sections/contents.js";
import { footer } from "./sections/footer.js";
import { findings, header } from "./sections/header.js";
import { limits, provenance } from "./sections/provenance.js";

function main() {
  const page = readPageData();
  const tables = (entries) => entries.map((entry) => tableFigure(page, entry));
  const sections = [
    findings(page),
    claims(page),
    tableFigure(page, kSharesFigure),
    tables(kRepetitionFigures),
    colouredTextFigure(page),
    tables(kStructureFigures),
    tableFigure(page, kPerplexityFigure),
    expertTokensFigure(page),
    tokenExpertsFigure(page),
    provenance(page),
    limits(page),
    absent(page),
  ].flat().filter(Boolean);
  append(document.getElementById("page"), [
    header(page),
    contents(sections),
    sections,
    footer(),
  ]);
  globalThis.moescope = { page, charts: drawnCharts, settled: chartsSettled };
}

main();
