// All heads of a model at once: each a thumbnail of its matrix, outlined by what it mostly does.
import { h, replace } from "../dom.js";
import { figureFrame, selectBox } from "../figure.js";
import { count, fixed, percent } from "../format.js";
import { watchTips } from "../tip.js";
import { headKinds, kindOf, kindRule } from "./kinds.js";
import { headName } from "./page_data.js";
import { drawTriangle, rampLegend, redrawWithScheme } from "./ramp.js";
import { roving } from "./roving.js";

const kOrders = [
  ["place", "place in the model"], ["kind", "kind"], ["sink", "weight on the first token"], ["previous", "weight on the previous token"],
  ["self", "weight on itself"], ["entropy", "entropy"], ["distance", "distance"],
];

// Thumbnails of so few rows are enlarged, with sharp cells; others would lose whole rows by it.
const kCrisp = 24;

// Pixels of the column of layers and of a thumbnail, of the least width they need.
const kEdge = 40, kSmallest = 30;

function ordered(heads, order) {
  if (order === "place") return heads;
  const kinds = headKinds().map((kind) => kind.key);
  const rank = order === "kind" ? (head) => kinds.indexOf(head.kind) : (head) => -head[order];
  return [...heads].sort((a, b) => rank(a) - rank(b) || a.layer - b.layer || a.head - b.head);
}

export function figuresList(model, head) {
  const even = (key, format) => h("td", { class: "null" }, format(model.even[key]));
  const row = (name, key, format) => h("tr", {}, h("th", {}, name), h("td", {}, format(head[key])), even(key, format));
  const nats = (value) => `${fixed(value, 2)} nats`;
  const back = (value) => `${fixed(value, 1)} tokens`;
  return h("table", {},
    h("tr", {}, h("th", {}, ""), h("th", {}, "this head"), h("th", {}, "even")),
    row("first token (sink)", "sink", percent), row("previous token", "previous", percent), row("itself", "self", percent),
    row("entropy", "entropy", nats), row("distance", "distance", back));
}

function tipOf(model, head) {
  return h("div", {}, h("p", { class: "tip-title" }, headName(model, head), h("span", {}, kindOf(head.kind).title)), figuresList(model, head));
}

function thumbnail(model, head, withName) {
  const canvas = h("canvas", { "aria-hidden": "true", class: model.n_blocks <= kCrisp ? "crisp" : null });
  const draw = () => drawTriangle(canvas, model.matrix(head.layer, head.head), model.n_blocks);
  draw();
  redrawWithScheme(canvas, draw);
  const { colour, line, title } = kindOf(head.kind);
  return h("button", {
    type: "button", class: "thumbnail", "data-layer": head.layer, "data-head": head.head, "data-kind": head.kind,
    style: `border-color:${colour};border-style:${line}`,
    "aria-label": `${headName(model, head)}: ${title}, ${percent(head.sink, 0)} on the first token, ${percent(head.previous, 0)} on the previous`,
  }, canvas, withName ? h("span", { class: "thumbnail-name", "aria-hidden": "true" }, `${head.layer}·${head.head}`) : null);
}

// By place a row a layer with numbers at its edges; in another order a flow with the place on each.
function gridOf(model, order) {
  const byPlace = order === "place";
  const heads = ordered(model.heads, order);
  const buttons = heads.map((head) => thumbnail(model, head, !byPlace));
  const cells = byPlace
    ? [h("span", { class: "edge corner" }, "layer"), Array.from({ length: model.n_heads }, (_, head) => h("span", { class: "edge" }, head)),
      Array.from({ length: model.n_layers }, (_, layer) =>
        [h("span", { class: "edge" }, layer), buttons.slice(layer * model.n_heads, (layer + 1) * model.n_heads)])]
    : buttons;
  const grid = h("div", {
    class: `thumbnails ${byPlace ? "by-place" : "flow"}`, role: "group", style: `--heads:${model.n_heads}`,
    "aria-label": `Heads of ${model.name}: arrow keys move, Enter opens`,
  }, cells);
  roving(grid, buttons, { columns: byPlace ? model.n_heads : 0 });
  return grid;
}

// Switches that dim the heads of other kinds, with how many there are.
function kindLegend(page, onChange) {
  const all = page.models.flatMap((model) => model.heads);
  const shown = new Set(headKinds().map((kind) => kind.key));
  const chips = headKinds().map(({ key, title, colour, line }) => h("button", {
    type: "button", class: "chip kind", "aria-pressed": "true", "data-kind": key,
    onclick: (event) => {
      if (!shown.delete(key)) shown.add(key);
      event.currentTarget.setAttribute("aria-pressed", String(shown.has(key)));
      onChange(shown);
    },
  }, h("span", { class: "kind-swatch", style: `border-color:${colour};border-style:${line}` }), title,
  h("span", { class: "count" }, count(all.filter((head) => head.kind === key).length))));
  return h("div", { class: "legend", role: "group", "aria-label": "Kinds of heads: click to dim" }, h("span", { class: "label" }, "Mostly looks at"), chips);
}

export function modelView(page, open) {
  const columns = page.models.map((model, index) => {
    const holder = h("div", { class: "scroll-box" });
    holder.addEventListener("click", (event) => {
      const button = event.target.closest(".thumbnail");
      if (button) open(index, { layer: Number(button.dataset.layer), head: Number(button.dataset.head) });
    });
    const tip = watchTips(holder, ".thumbnail", (button) =>
      tipOf(model, model.heads[Number(button.dataset.layer) * model.n_heads + Number(button.dataset.head)]));
    const draw = (order) => replace(holder, gridOf(model, order));
    draw("place");
    return { draw, element: h("div", { class: "side", style: `flex:${model.n_heads} 1 min(100%, ${kEdge + model.n_heads * kSmallest}px)` }, h("h3", {}, model.name), holder, tip) };
  });
  const area = h("div", { class: "sides by-heads" }, columns.map((column) => column.element));
  return figureFrame({
    id: "model-view",
    title: "All heads",
    lead: "Each square is one head: a row for each token that looks, a column for each token looked at. A token sees itself and what stands before it.",
    controls: [
      selectBox({ label: "Order", options: kOrders, value: "place", onChange: (order) => columns.forEach((column) => column.draw(order)) }),
      kindLegend(page, (shown) => {
        for (const { key } of headKinds()) area.classList.toggle(`without-${key}`, !shown.has(key));
      }),
      rampLegend(),
    ],
    body: area,
    howToRead: "A strong first column is a sink: weight laid down on the first token, which everybody sees. A strong line beside the diagonal looks one "
      + `token back. ${kindRule(page)} Click a head, or press Enter on it, to open it below.`,
  });
}
