// Figure 8 of the Mixtral paper: text with each token on the colour of its first choice, one column a
// layer. Pointing at a token marks it in every column and says where it went.
import { h, replace } from "../dom.js";
import { figureFrame, selectBox } from "../figure.js";
import { expertColour } from "../palette.js";
import { visibleToken } from "../format.js";
import { watchTips } from "../tip.js";

const kColumns = 3;

// `sample`: {dataset, unit, document, tokens: [text], experts: [layer][token*K + slot], weights: same shape}.
function describe(sample, layers, token, K) {
  return h("div", {},
    h("p", { class: "tip-token" }, visibleToken(sample.tokens[token])),
    h("table", {}, layers.map((layer, i) => h("tr", {},
      h("th", {}, `layer ${layer}`),
      Array.from({ length: K }, (_, slot) => {
        const expert = sample.experts[i][token * K + slot];
        const weight = sample.weights[i][token * K + slot];
        return h("td", {}, expert < 0 || expert === null ? "dropped" : [h("b", {}, expert), ` ${Number(weight).toFixed(2)}`]);
      })))));
}

// Pieces show a line feed as a picture; the line ends there too.
const withLineBreaks = (text) => text.replace(/↵/g, "$&\n");

function column({ sample, layer, index, page, K }) {
  const numbered = page.run.n_experts > page.expert_colours.length;
  const tokens = sample.tokens.map((text, token) => {
    const expert = sample.experts[index][token * K];
    const span = h("span", {
      class: "token", "data-token": token, "data-expert": expert,
      style: `background:${expertColour(expert, page.expert_colours)}`,
    }, withLineBreaks(text));
    return numbered ? [span, h("sub", { class: "expert-number" }, expert)] : span;
  });
  return h("div", { class: "text-column" }, h("h3", {}, `Layer ${layer}`), h("div", { class: "coloured", "data-layer": layer }, tokens));
}

function expertLegend(page, area) {
  let only = null;
  const chips = Array.from({ length: page.run.n_experts }, (_, expert) =>
    h("button", {
      type: "button", class: "chip expert", "aria-pressed": "true", style: `background:${expertColour(expert, page.expert_colours)}`,
      onclick: () => {
        only = only === expert ? null : expert;
        chips.forEach((chip, e) => chip.setAttribute("aria-pressed", String(only === null || only === e)));
        area.classList.toggle("one-expert", only !== null);
        for (const e of area.querySelectorAll(".token")) e.classList.toggle("kept", Number(e.dataset.expert) === only);
      },
    }, expert));
  return h("div", { class: "legend", role: "group", "aria-label": "Experts: click to see one alone" }, h("span", { class: "label" }, "Expert"), chips);
}

export function colouredTextFigure(page) {
  const samples = page.texts?.samples ?? [];
  if (samples.length === 0) return null;
  const K = page.run.experts_per_token;
  const layers = page.texts.layers;
  const area = h("div", { class: `text-columns n${Math.min(layers.length, kColumns)}` });
  const legendHolder = h("div");
  let sample = samples[0];
  const draw = () => {
    replace(area, layers.map((layer, index) => column({ sample, layer, index, page, K })));
    area.classList.remove("one-expert");
    replace(legendHolder, expertLegend(page, area));
  };
  draw();
  const tip = watchTips(area, ".token", (span) => describe(sample, layers, Number(span.dataset.token), K), {
    onShow: (span) => { for (const e of area.querySelectorAll(`.token[data-token="${span.dataset.token}"]`)) e.classList.add("hit"); },
    onHide: () => { for (const e of area.querySelectorAll(".token.hit")) e.classList.remove("hit"); },
  });
  const options = samples.map((s, i) => [String(i), s.unit && s.unit !== s.dataset ? `${s.dataset} (${s.unit})` : s.dataset]);
  return figureFrame({
    id: "figure-8",
    title: "The text itself, by expert",
    lead: "The beginning of one document of each data set; the background of a token is its first choice (Figure 8 of the Mixtral paper).",
    controls: [
      selectBox({ label: "Text", options, value: "0", onChange: (next) => { sample = samples[Number(next)]; draw(); } }),
      legendHolder,
    ],
    body: [area, tip],
    howToRead: "Runs of one colour are tokens that stay with an expert; the same word in the same colour everywhere is routing by token. "
      + "Point at a token for its experts and weights; click an expert above to see it alone.",
    command: page.commands.figure8,
  });
}
