// Title, the one-paragraph summary, and the findings.
import { h } from "../dom.js";
import { commandLine } from "../figure.js";
import { count, listing, percent, plural, roughCount } from "../format.js";
import { isDense } from "../page_data.js";

const kindsOfText = (datasets) =>
  (datasets.length === 1 ? datasets[0] : `${count(datasets.length)} kinds of text (${listing(datasets)})`);

const routedSummary = ({ run, datasets, shown_layers: first }) => [
  `Where ${roughCount(run.n_tokens)} tokens of ${kindsOfText(datasets)} were routed by `, h("b", {}, run.model_name),
  `, a mixture of ${run.n_experts} experts a layer in ${run.layers.length} layers, `,
  `${run.experts_per_token} of them used for each token. `,
  `Figures show layers ${listing(first.map(String))} unless you choose others.`,
];

const denseSummary = ({ run, datasets }) => [
  `How well ${roughCount(run.n_tokens)} tokens of ${kindsOfText(datasets)} are predicted by `, h("b", {}, run.model_name),
  `, a dense model of ${plural(run.n_layers, "layer")}: without experts there are no routes to show.`,
];

export function header(page) {
  const { run } = page;
  return h("header", {},
    h("p", { class: "kicker" }, "moescope report"),
    h("h1", {}, page.title),
    h("p", { class: "summary" }, isDense(run) ? denseSummary(page) : routedSummary(page)),
    run.complete ? null : h("p", { class: "warning" }, `This run is unfinished: it holds ${count(run.n_tokens)} tokens so far.`));
}

export function findings(page) {
  if (!page.findings?.list.length) return null;
  return h("section", { id: "findings", class: "findings" },
    h("h2", {}, "What stands out"),
    h("p", { class: "lead" }, page.findings.rule),
    h("ol", {}, page.findings.list.map((finding) => h("li", {},
      h("p", { class: "statement" }, finding.sentence), findingBar(finding),
      commandLine(page.commands[finding.about_repetition ? "table5_layer" : "figure7_layer"].replace("{layer}", finding.layer))))));
}

// Value, interval and null on one line from 0 to 100 %.
function findingBar({ value, null_value, null_name, interval }) {
  const at = (fraction) => `${(100 * Math.min(1, Math.max(0, fraction))).toFixed(2)}%`;
  const text = `${percent(value)}; ${percent(null_value)} ${null_name}`;
  return h("div", { class: "finding-bar", role: "img", "aria-label": text, title: text },
    h("span", { class: "value", style: `width:${at(value)}` }),
    interval ? h("span", { class: "range", style: `left:${at(interval[0])};width:calc(${at(interval[1])} - ${at(interval[0])})` }) : null,
    h("span", { class: "null", style: `left:${at(null_value)}` }));
}
