// Title, what was done, and what stands out.
import { h } from "../dom.js";
import { commandLine } from "../figure.js";
import { listing, plural, roughCount } from "../format.js";

const textOf = (datasets) => (datasets.length <= 4 ? listing(datasets) : `${datasets.length} data sets`);

const done = (page) => (page.figures.ablation
  ? "The routing was changed, and the loss was measured again on the same text: what it gains is what was lost."
  : "Published criteria for the worth of an expert, side by side with what removing it costs where that was measured.");

export function summary(page) {
  const { run } = page;
  return h("header", {},
    h("p", { class: "kicker" }, page.figures.ablation ? "moescope ablate" : "moescope audit"),
    h("h1", {}, page.title),
    h("p", { class: "summary" }, done(page), " The model: ", h("b", {}, run.model_name),
      `, ${run.experts_per_token} of ${run.n_experts} experts a token in ${plural(run.layers.length, "layer")}; the text: `
      + `${roughCount(run.n_tokens)} tokens of ${textOf(page.datasets)}.`),
    page.sentences.length ? h("ul", { class: "sentences" }, page.sentences.map((sentence) => h("li", {}, sentence))) : null,
    commandLine(page.command));
}
