// How to read the page as a whole, and what the models are.
import { h } from "../dom.js";
import { count, plural } from "../format.js";

const entry = (name, value) => (value ? [h("dt", {}, name), h("dd", {}, value)] : null);

export function howToRead() {
  const paragraph = (label, text) => h("p", {}, h("b", {}, `${label} `), text);
  return h("aside", { class: "limits", id: "limits" }, h("h2", {}, "Before you conclude"),
    paragraph("Weight is not importance.", "A head may look hard at a token and carry nothing away from it. What a head does is shown by taking it out, not by where it looks."),
    paragraph("One text", "is shown. Heads do other things in other texts; a kind written on a head holds for this one."),
    paragraph("Two models", "cut the same text into other tokens, and only some put a special token before it. Compare shapes and figures against each model’s own dashed line, "
      + "not head 3 of one with head 3 of the other: numbers of heads and layers mean nothing across models."),
    paragraph("A short text", "leaves little to look at, so that a head without any habit puts much weight on the first and the previous token, too: the dashed lines say how much."));
}

function described(model) {
  return h("div", { class: "side" }, h("h3", {}, model.name), h("dl", { class: "facts" },
    entry("Model", [`${model.family}, ${count(model.parameters)} parameters, from `, h("code", {}, model.path)]),
    entry("Model identity", h("code", {}, model.identity)),
    entry("Attention", `${plural(model.n_layers, "layer")} of ${plural(model.n_heads, "head")}${model.n_kv_heads < model.n_heads ? `, ${model.n_kv_heads} of keys and values` : ""}; `
      + `context ${count(model.context)}${model.window ? `, window ${count(model.window)}` : ""}`),
    entry("Experts", model.n_experts ? `${model.n_experts} a layer, ${model.experts_per_token} a token` : "none: a dense model"),
    entry("Text", `${count(model.tokens.length)} tokens`),
    entry("On this page", model.pooled ? `figures of all tokens; matrices in ${count(model.n_blocks)} blocks of ${model.block} tokens` : "every weight of every head")));
}

export function models(page) {
  return h("section", { id: "models" }, h("h2", {}, page.models.length > 1 ? "The models" : "The model"),
    h("div", { class: "sides" }, page.models.map(described)),
    h("p", { class: "note" }, `Arithmetic: precision ${page.precision}, kernel level ${page.kernel_level}; the same bits for any number of threads.`));
}
