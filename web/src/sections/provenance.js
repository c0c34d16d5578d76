// What was run: all that a reader needs to repeat it, and the box on what the model can show.
import { h } from "../dom.js";
import { count, plural } from "../format.js";
import { isDense } from "../page_data.js";

const kBosPolicies = {
  document: "one before each document",
  none: "none",
  stream: "one before each data set, whose documents are joined to one stream",
};

const entry = (name, value) => (value === null || value === undefined || value === "" ? null : [h("dt", {}, name), h("dd", {}, value)]);

function runList(run) {
  return h("dl", { class: "facts" },
    entry("Model", [run.model_name, ` (${run.architecture})`]),
    entry("Model identity", h("code", {}, run.model_identity)),
    entry("Weight types", isDense(run) ? run.expert_type && `feed-forward ${run.expert_type}` : `experts ${run.expert_type}, router ${run.router_type}`),
    entry("Experts", isDense(run) ? `none: a dense model of ${plural(run.n_layers, "layer")}` : `${run.n_experts} a layer, K = ${run.experts_per_token} a token, ${run.layers.length} layers; ${run.score_function}`),
    entry("Tokenizer", [h("code", {}, run.tokenizer_identity), `, ${count(run.vocab_size)} tokens`]),
    entry("BOS", kBosPolicies[run.bos] ?? run.bos),
    entry("Documents", [
      `${plural(run.n_documents, "document")}, cut into chunks of at most ${count(run.chunk)} tokens that do not see each other`,
      run.raw ? "; text as it is" : "; CR LF read as LF", run.max_tokens ? `; at most ${count(run.max_tokens)} tokens` : "",
    ]),
    entry("Tokens and units", `${count(run.n_tokens)} tokens (${count(run.n_plain_tokens)} without special ones), ${plural(run.n_units, "unit")} (what intervals resample)`),
    entry("Special rows", isDense(run) ? "stored and flagged" : "stored and flagged; left out of every share and pair here"),
    entry("Arithmetic", `precision ${run.precision}, kernel level ${run.kernel_level}`),
    entry("Interventions", run.interventions.length ? run.interventions.join(", ") : "none"),
    entry("Intervals", `95 %, ${count(run.n_bootstrap)} bootstrap samples of whole units within each data set, seed ${run.seed}`),
    entry("Version", `moescope ${run.engine_version}`));
}

// Documents are not counted by data set everywhere.
function datasetTable(run) {
  const counted = run.datasets.some((d) => d.documents !== null);
  const headings = ["data set", ...(counted ? ["documents"] : []), "tokens (not special)", "units", "what a unit is"];
  return h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Data sets" }, h("table", { class: "numbers narrow" },
    h("thead", {}, h("tr", {}, headings.map((t) => h("th", {}, t)))),
    h("tbody", {}, run.datasets.map((d) => h("tr", {}, h("th", { scope: "row" }, d.name), counted ? h("td", {}, count(d.documents)) : null,
      h("td", {}, count(d.tokens)), h("td", {}, count(d.units)),
      h("td", { class: "words" }, d.unit_by === "" ? "the document, or the work it names" : d.unit_by === "-" ? "the whole data set" : `field “${d.unit_by}”`))))));
}

export function provenance(page) {
  return h("section", { id: "run" }, h("h2", {}, "What was run"), runList(page.run), datasetTable(page.run));
}

export function limits(page) {
  return h("aside", { class: "limits", id: "limits" },
    h("h2", {}, page.limits.title), page.limits.paragraphs.map(({ label, text }) => h("p", {}, label ? h("b", {}, `${label} `) : null, text)));
}
