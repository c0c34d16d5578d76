// One head at a time, a panel for each model: which head, in which form, and what is selected in words.
import { h, replace } from "../dom.js";
import { figureFrame, selectBox } from "../figure.js";
import { percent } from "../format.js";
import { kindOf } from "./kinds.js";
import { matrix } from "./matrix.js";
import { figuresList } from "./model_view.js";
import { headName, weightOfByte } from "./page_data.js";
import { redrawWithScheme } from "./ramp.js";
import { byteAt, tokenLists } from "./token_lists.js";

const kListed = 8;

const quoted = (model, i) => [h("bdi", { class: "piece", title: model.label(i) }, model.label(i)), " ", h("span", { class: "position" }, model.range(i)), " "];

// A row's or a column's largest weights, as text.
function readOut(model, bytes, selected) {
  if (!selected) return h("p", { class: "note" }, "Point at a token, or move to it with the arrow keys, to see only its lines and read its weights here.");
  const { query, key } = selected;
  if (query !== undefined && key !== undefined) {
    return h("p", {}, quoted(model, query), h("span", {}, "looks at "), quoted(model, key), h("span", {}, "with ", h("b", {}, percent(weightOfByte(byteAt(bytes, query, key)))), " of its weight."));
  }
  const isRow = query !== undefined;
  const cells = isRow
    ? Array.from({ length: query + 1 }, (_, at) => ({ at, byte: byteAt(bytes, query, at) }))
    : Array.from({ length: model.n_blocks - key }, (_, i) => ({ at: key + i, byte: byteAt(bytes, key + i, key) }));
  const listed = cells.sort((a, b) => b.byte - a.byte || a.at - b.at).slice(0, kListed);
  return [
    h("p", {}, quoted(model, isRow ? query : key), h("span", {}, isRow ? "looks at" : "is looked at by")),
    h("ol", { class: "weights" }, listed.map(({ at, byte }) => h("li", { "data-at": at }, h("b", {}, percent(weightOfByte(byte))), " ", quoted(model, at)))),
  ];
}

// The head a page opens with: the one asked for, else the one that looks most at the previous token.
function firstHead(page, model) {
  if (page.first) return { ...page.first };
  const { layer, head } = model.heads.reduce((best, candidate) => (candidate.previous > best.previous ? candidate : best));
  return { layer, head };
}

function panel(page, model) {
  let shown = firstHead(page, model), form = "lines";
  const words = h("div", { class: "read-out", "aria-live": "polite" });
  const name = h("p", { class: "head-name" });
  const holder = h("div", { class: "head-form" });
  const bytes = () => model.matrix(shown.layer, shown.head);
  const tell = (selected) => replace(words, readOut(model, bytes(), selected));
  const forms = { lines: tokenLists(model, tell), matrix: matrix(model, tell) };
  const numbers = (n) => Array.from({ length: n }, (_, i) => [String(i), String(i)]);
  const layerBox = selectBox({ label: "Layer", options: numbers(model.n_layers), value: String(shown.layer), onChange: (layer) => show({ ...shown, layer: Number(layer) }) });
  const headBox = selectBox({
    label: "Head", options: [...numbers(model.n_heads), [String(model.n_heads), "mean of heads"]], value: String(shown.head),
    onChange: (head) => show({ ...shown, head: Number(head) }),
  });

  function show(next) {
    shown = next;
    layerBox.querySelector("select").value = String(shown.layer);
    headBox.querySelector("select").value = String(shown.head);
    const figures = model.heads[shown.layer * model.n_heads + shown.head];
    const ofHead = shown.head < model.n_heads;
    replace(name, h("b", {}, headName(model, shown)), ofHead ? ` · ${kindOf(figures.kind).title}` : "");
    replace(details, ofHead ? figuresList(model, figures) : h("p", { class: "note" }, "The mean weight over the heads of the layer."));
    if (holder.firstChild !== forms[form].element) replace(holder, forms[form].element);
    tell(null);
    forms[form].show(bytes());
  }
  const details = h("div", { class: "head-figures" });
  const element = h("div", { class: "side head-panel", "data-model": model.name },
    h("h3", {}, model.name), h("div", { class: "controls" }, layerBox, headBox), name, details, holder, words);
  redrawWithScheme(element, () => forms[form].redraw());
  show(shown);
  return { element, show, setForm: (next) => { form = next; show(shown); }, focus: () => headBox.querySelector("select").focus({ preventScroll: true }) };
}

// Returns the section and open(model index, {layer, head}), which shows a head and goes there.
export function headViews(page) {
  const panels = page.models.map((model) => panel(page, model));
  const chips = [["lines", "lines"], ["matrix", "matrix"]].map(([key, text]) => h("button", {
    type: "button", class: "chip layer", "aria-pressed": String(key === "lines"), "data-form": key,
    onclick: (event) => {
      for (const chip of chips) chip.setAttribute("aria-pressed", String(chip === event.currentTarget));
      for (const one of panels) one.setForm(key);
    },
  }, text));
  const element = figureFrame({
    id: "head-view",
    title: "One head",
    lead: "Each token on the left looks at tokens on the right, itself and those before it; the stronger the line, the more weight.",
    controls: [h("div", { class: "picker", role: "group", "aria-label": "Form" }, h("span", { class: "label" }, "Form"), chips)],
    body: h("div", { class: "sides" }, panels.map((one) => one.element)),
    howToRead: "The opacity of a line is the weight; lines below 2\u00a0% are left out until a token is chosen. The weights of a row sum to 100\u00a0%. A large weight says "
      + "where a head reads, not what it does with it: what is read there may be small. Weights are kept to one byte, within "
      + "0.4 percentage points at 100\u00a0% and 0.04 at 1\u00a0%.",
  });
  return {
    element,
    open: (index, head) => {
      panels[index].show(head);
      element.scrollIntoView({ block: "start" });
      panels[index].focus();
    },
  };
}
