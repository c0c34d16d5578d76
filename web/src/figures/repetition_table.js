// Table 5 as numbers, with all four nulls and the intervals.
import { h } from "../dom.js";
import { count, percentBare, percentInterval, present } from "../format.js";
import { datasetColour } from "../palette.js";

const kMeasures = [
  { key: "first_repeat", title: "same first choice" },
  { key: "any_overlap", title: "at least one chosen expert in common" },
];

const kNulls = [
  { key: "uniform", title: "uniform" }, { key: "marginal", title: "marginal" }, { key: "shuffle", title: "shuffle" },
  { key: "token", title: "token identity" },
];

const cells = (row, measure) => [
  h("td", { class: "value" }, percentBare(row[measure.key]),
    h("span", { class: "interval" }, percentInterval(row[`${measure.key}_low`], row[`${measure.key}_high`]))),
  kNulls.map((n) => h("td", { class: "null" }, percentBare(row[`${measure.key}_null_${n.key}`]),
    n.key === "token" && present(row[`${measure.key}_token_covered`]) ? h("span", { class: "interval" }, `vs ${percentBare(row[`${measure.key}_token_covered`])}`) : null)),
];

export function repetitionTable(page, shown) {
  const { datasets, repetition } = page;
  const body = shown.map((layer) => h("tbody", {},
    datasets.map((dataset, index) => {
      const row = repetition.find((r) => r.layer === layer && r.dataset === dataset);
      if (!row) return null;
      return h("tr", {},
        index === 0 ? h("th", { scope: "rowgroup", rowspan: datasets.length, class: "layer" }, layer) : null,
        h("th", { scope: "row" }, h("span", { class: "swatch", style: `background:${datasetColour(index)}` }), dataset),
        h("td", {}, count(row.pairs)), kMeasures.map((m) => cells(row, m)),
        h("td", { class: "null" }, percentBare(row.token_coverage, 0)));
    })));
  return h("div", {},
    h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Table 5 as numbers" },
      h("table", { class: "numbers" },
        h("thead", {},
          h("tr", {}, h("th", { rowspan: 2 }, "layer"), h("th", { rowspan: 2 }, "data set"), h("th", { rowspan: 2 }, "pairs"),
            kMeasures.map((m) => h("th", { colspan: 5, scope: "colgroup" }, `${m.title}, %`)), h("th", { rowspan: 2 }, "covered, %")),
          h("tr", {}, kMeasures.map(() => [h("th", {}, "observed"), kNulls.map((n) => h("th", {}, n.title))]))),
        body)),
    h("p", { class: "note" },
      "Under each observed value its 95 % interval (units resampled). “Covered”: share of pairs whose tokens both occur in "
      + "another document too, so that the token-identity null can be formed; “vs”: what is observed on just these pairs."));
}
