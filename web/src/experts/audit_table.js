// One row a (layer, expert), sorted by the column whose heading was pressed last.
import { h, replace } from "../dom.js";
import { figureFrame } from "../figure.js";
import { cellText } from "../figures/table_figure.js";
import { count, visibleToken } from "../format.js";

const kRowsAtFirst = 512;  // more take a moment to lay out; the rest on demand

// In the order of the columns: what was measured first.
const kHeadings = {
  layer: ["layer", "layer"], expert: ["expert", "expert"], flagged: ["★", "a super expert by the published rule"],
  effect: ["effect", "nats a predicted token that removing it adds"], effect_low: ["from", "95 % interval of the effect"], effect_high: ["to", "95 % interval of the effect"],
  share: ["share", "of the layer's assignments"], mean_weight: ["weight", "mean routing weight where chosen"], reap: ["REAP", "mean of weight times the norm of its output"],
  reconstruction: ["rebuild", "sum over sequences of the norm of what changes when it is removed"],
  reconstruction_share: ["rebuild, share", "the same over the norm of the layer's output"],
  skip_share: ["skipped", "of its last choices, those below the layer's skip beta"], output_peak: ["output peak", "largest magnitude that down_proj writes"],
  peak_token: ["peak at", "the token where it does"], peak_position: ["position", "and its place in the sequence"],
  assignments: ["assignments", "how often it was chosen"],
};

const isText = (column) => column === "peak_token";

// What is not there comes last either way; equal values keep the order of layers and experts.
export function sortedRows(rows, column, direction) {
  const factor = direction === "ascending" ? 1 : -1;
  const missing = (value) => value === null || value === undefined;
  const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  return [...rows].sort((a, b) => {
    const [x, y] = [a[column], b[column]];
    if (missing(x) || missing(y)) return missing(x) - missing(y);
    return factor * compare(x, y);
  });
}

function cell(row, column) {
  const value = row[column];
  if (isText(column)) return h("td", { class: "text" }, value ? h("code", {}, visibleToken(value)) : "–");
  if (column === "flagged") return h("td", { class: value ? "flag" : null }, value ? "★" : "");
  return h("td", {}, typeof value === "number" && Math.abs(value) >= 1000 ? count(value) : cellText(value));
}

export function auditTable(page) {
  const { rows, about, command } = page.figures.audit;
  const columns = Object.keys(kHeadings).filter((column) => rows.some((row) => (row[column] ?? null) !== null));
  let sort = columns.includes("effect") ? ["effect", "descending"] : ["output_peak", "descending"];
  let shown = kRowsAtFirst;
  const body = h("tbody");
  const status = h("p", { class: "note", role: "status" });
  const more = h("button", { type: "button", class: "chip quiet", onclick: () => { shown = rows.length; draw(); } }, `all ${count(rows.length)} rows`);
  const headings = columns.map((column) => {
    const [name, says] = kHeadings[column];
    return h("th", { scope: "col" }, h("button", { type: "button", class: "sort", title: says, "data-column": column, onclick: () => press(column) }, name));
  });
  // The first press puts the largest on top, of text and numbers of layers and experts the first.
  function press(column) {
    const first = isText(column) || column === "layer" || column === "expert" ? "ascending" : "descending";
    const other = first === "ascending" ? "descending" : "ascending";
    sort = [column, sort[0] === column && sort[1] === first ? other : first];
    draw();
  }
  function draw() {
    const [column, direction] = sort;
    headings.forEach((heading, i) => (columns[i] === column ? heading.setAttribute("aria-sort", direction) : heading.removeAttribute("aria-sort")));
    replace(body, sortedRows(rows, column, direction).slice(0, shown).map((row) =>
      h("tr", { "data-layer": row.layer, "data-expert": row.expert }, columns.map((name) => cell(row, name)))));
    more.hidden = shown >= rows.length;
    status.textContent = `Sorted by ${kHeadings[column][0]}, ${direction}.`;
  }
  draw();
  return figureFrame({
    id: "audit", title: "Every expert by every criterion",
    lead: `One row a layer and expert. ${about.effect_mode ? `“effect” is what ${about.effect_mode} on it adds to the loss.` : "Effects were not measured: --effects all does."}`,
    body: h("div", { class: "sortable" }, status,
      h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Every expert by every criterion" },
        h("table", { class: "numbers" }, h("thead", {}, h("tr", {}, headings)), body)), more),
    howToRead: "Press a heading to sort by it, again to turn the order round; a criterion is good where its order is that of “effect”, and ★ is flagged by the published rule for super experts.",
    command,
  });
}
