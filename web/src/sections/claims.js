// What was claimed of experts, each with its verdict on this run.
import { h } from "../dom.js";
import { commandLine } from "../figure.js";
import { present } from "../format.js";

const kSigns = { supported: "✓", contradicted: "✗", mixed: "≈", underpowered: "?", "not tested": "–" };

// Where on the page a claim's figure stands.
const kPlaces = { table5: "table-5" };

const shorter = (value) => String(Number(value.toPrecision(3)));

function effect({ verdict, threshold, smallest_effect: smallest, unit }) {
  if (verdict === "not tested") return null;
  const parts = [
    threshold > 0 ? `An effect (${unit}) below ${shorter(threshold)} counts as none.` : null,
    present(smallest) ? `The smallest these data could show: ${shorter(smallest)}.` : null,
  ].filter(Boolean);
  return parts.length ? h("p", { class: "detail" }, parts.join(" ")) : null;
}

export function claims(page) {
  if (!page.claims?.rows.length) return null;
  return h("section", { id: "claims", class: "claims" },
    h("h2", {}, h("a", { class: "anchor", href: "#claims" }, "Claims about experts, on this model and text")),
    h("p", { class: "lead" }, "What the Mixtral paper and its readers said, judged by intervals over units: a claim is supported or contradicted "
      + "when more than half of all data sets and layers say so, mixed when they disagree, underpowered when these data cannot tell."),
    h("ul", {}, page.claims.rows.map((claim) => h("li", { class: claim.verdict.replace(" ", "-"), "data-claim": claim.name },
      h("p", { class: "verdict" }, h("span", { class: "sign", "aria-hidden": "true" }, kSigns[claim.verdict]), claim.verdict),
      h("p", { class: "statement" }, claim.claim),
      h("p", { class: "detail" }, claim.evidence), effect(claim),
      h("p", { class: "detail" }, `${claim.source}. `,
        page.figures[claim.figure] ? h("a", { href: `#${kPlaces[claim.figure] ?? claim.figure}` }, "Figure") : null)))),
    commandLine(page.claims.command));
}

// What is not on the page, and why.
export function absent(page) {
  if (!page.absent?.length) return null;
  return h("section", { id: "absent" }, h("h2", {}, "Not on this page"),
    h("ul", {}, page.absent.map(([figure, why]) => h("li", {}, h("b", {}, figure), `: ${why}`))));
}
