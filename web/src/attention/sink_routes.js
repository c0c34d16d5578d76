// Where the first token is routed, beside all others: has the sink an expert of its own?
import { h } from "../dom.js";
import { figureFrame } from "../figure.js";
import { fixed, percent, percentBare, visibleToken } from "../format.js";

function expertsOf({ experts, weights }) {
  return experts.map((expert, slot) => [slot === 0 ? null : ", ", h("b", {}, expert), ` ${fixed(weights[slot], 2)}`]);
}

function tableOf(model) {
  const most = Math.max(...model.sink_routes.flatMap((route) => route.share_of_others));
  return h("div", { class: "table-scroll" }, h("table", { class: "numbers narrow sink-routes", "data-model": model.name },
    h("thead", {},
      h("tr", {}, h("th", { rowspan: 2 }, "layer"), h("th", { colspan: 2 }, "first token"), h("th", { rowspan: 2, class: "same" }, "others that choose its first expert"),
        h("th", { colspan: model.n_experts }, "first choice of the other tokens, percent by expert")),
      h("tr", {}, h("th", {}, "weight on it"), h("th", {}, "its experts"),
        Array.from({ length: model.n_experts }, (_, expert) => h("th", { class: "expert" }, expert)))),
    h("tbody", {}, model.sink_routes.map((route) => h("tr", { "data-layer": route.layer },
      h("th", { scope: "row" }, route.layer), h("td", {}, percent(route.sink)), h("td", { class: "words" }, expertsOf(route)),
      h("td", { class: "value" }, percent(route.share_of_same)),
      route.share_of_others.map((share, expert) => h("td", {
        class: `share${share > 0.85 * most ? " strong" : ""}${expert === route.experts[0] ? " own" : ""}`, style: `--heat:${fixed(share / (most || 1), 3)}`,
        title: `layer ${route.layer}, expert ${expert}: ${percent(share)} of the other tokens${expert === route.experts[0] ? "; the first token’s first choice" : ""}`,
      }, percentBare(share, 0))))))));
}

export function sinkRoutes(page) {
  const routed = page.models.filter((model) => model.sink_routes.length > 0);
  if (routed.length === 0) return null;
  return figureFrame({
    id: "sink-routes",
    title: "Where the sink is routed",
    lead: routed.map((model) => `In ${model.name} the first token is “${visibleToken(model.tokens[0])}”. `).join("")
      + "Does it go to an expert of its own, or where the others go too?",
    body: routed.map((model) => [
      routed.length > 1 ? h("h3", {}, model.name) : null,
      tableOf(model),
      h("p", { class: "note" }, `Null: another token drawn at random chooses the first token’s first expert as often as the column “others that choose its first expert” says; `
        + `even routing over ${model.n_experts} experts would make that ${percent(1 / model.n_experts)}.`),
    ]),
    howToRead: "The outlined cell is the expert that the first token chooses first. Where its colour is faint, hardly any other token goes there: the sink has an expert for "
      + "itself. Where it is strong, the sink goes with the crowd. One text has one first token, so this is one observation a layer, not a rate.",
  });
}
