// The page of `ablate` or `audit`, top to bottom: which expert does the work.
import { chartsSettled, drawnCharts } from "../chart.js";
import { append } from "../dom.js";
import { tableFigure } from "../figures/table_figure.js";
import { readPageData } from "../page_data.js";
import { contents } from "../sections/contents.js";
import { footer } from "../sections/footer.js";
import { limits, provenance } from "../sections/provenance.js";
import { kAblationFigures, kCorrelationsFigure } from "./catalogue.js";
import { summary } from "./summary.js";
import { auditTable } from "./audit_table.js";
import { superExperts } from "./super_experts.js";

function main() {
  const page = readPageData();
  const ablation = kAblationFigures.map((entry) => tableFigure(page, entry));
  const audit = page.figures.audit ? [superExperts(page), auditTable(page), tableFigure(page, kCorrelationsFigure)] : [];
  const sections = [...ablation, ...audit, provenance(page), limits(page)].filter(Boolean);
  append(document.getElementById("page"), [summary(page), contents(sections), sections, footer()]);
  globalThis.moescope = { page, charts: drawnCharts, settled: chartsSettled };
}

main();
