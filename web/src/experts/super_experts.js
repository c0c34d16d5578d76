// Super experts: those that the published rule flags, each with the signs that make it a finding.
import { h } from "../dom.js";
import { figureFrame } from "../figure.js";
import { count, fixed, present } from "../format.js";

const sign = (holds, text) => h("li", {}, h("span", { class: "sign" }, holds === null ? "–" : holds ? "✓" : "✗"), text);

const signed = (value) => `${value > 0 ? "+" : ""}${fixed(value, 4)}`;

function effectSign(expert) {
  if (!present(expert.effect)) return sign(null, "zero on it was not measured");
  const most = present(expert.largest_random) ? `, ${signed(expert.largest_random)} at most` : "";
  return sign(Boolean(expert.breaks), `zero on it costs more than on each of ${count(expert.random_cells)} random others: ${signed(expert.effect)} nats a token${most}`);
}

function card(expert) {
  const times = expert.best_unflagged > 0 ? fixed(expert.output_peak / expert.best_unflagged, 1) : "–";
  return h("li", { class: expert.finding ? "finding" : null },
    h("h3", {}, `Layer ${expert.layer}, expert ${expert.expert}: ${expert.finding ? "a finding" : "no finding"}`),
    h("ul", { class: "signs" },
      sign(true, `flagged by the published rule: output peak ${fixed(expert.output_peak, 2)}`),
      sign(Boolean(expert.massive), "massive activations after every layer from there on"),
      sign(Boolean(expert.stands_out), `its peak is at least 5 times the best unflagged one: ${times} times`),
      effectSign(expert)));
}

export function superExperts(page) {
  const { more, command } = page.figures.audit;
  const list = more.super_experts;
  return figureFrame({
    id: "super-experts", title: "Super experts",
    lead: "Experts whose output has an outlier that the rest of the model may depend on (arXiv 2507.23279).",
    body: list.length ? h("ul", { class: "super-experts" }, list.map(card)) : h("p", {}, "None, not even by the published rule."),
    howToRead: "The published rule alone flags something in most models; only an expert with all four signs is a finding.",
    command,
  });
}
