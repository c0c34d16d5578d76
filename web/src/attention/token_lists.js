// The text twice, queries on the left, keys on the right, with a line for each weight between them.
import { h } from "../dom.js";
import { weightOfByte } from "./page_data.js";
import { rampColour, inkOn } from "./ramp.js";
import { roving } from "./roving.js";

// Lines of less weight than this are left out: of all rows at once, and of one row.
const kFaintest = 0.02, kFaintestOfOne = 0.002;
const kRowHeight = 22, kWidth = 100;

const svg = (tag, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

export const byteAt = (bytes, query, key) => bytes[(query * (query + 1)) / 2 + key];

// Weights that `selected` shows: {query}: its row, {key}: its column, null: all.
function cellsOf(bytes, n, selected) {
  const cells = [];
  for (let query = selected?.query ?? 0; query < (selected?.query + 1 || n); query++) {
    for (let key = selected?.key ?? 0; key < (selected?.key + 1 || query + 1) && key <= query; key++) {
      cells.push({ query, key, byte: byteAt(bytes, query, key) });
    }
  }
  return cells;
}

function drawLines(holder, cells, faintest) {
  const middle = (i) => (i + 0.5) * kRowHeight;
  holder.replaceChildren(...cells.filter(({ byte }) => weightOfByte(byte) >= faintest).map(({ query, key, byte }) => svg("line", {
    x1: 0, y1: middle(query), x2: kWidth, y2: middle(key), "data-query": query, "data-key": key, opacity: weightOfByte(byte).toFixed(4),
  })));
}

// `onSelect` is told what is shown: {query}, {key} or null. Returns the element and show(bytes).
export function tokenLists(model, onSelect) {
  const n = model.n_blocks;
  let bytes = null, pinned = null, selected = null;
  const list = (side, name) => {
    const items = Array.from({ length: n }, (_, i) =>
      h("li", { role: "option", "aria-selected": "false", "data-index": i, class: "token-row", title: `${model.range(i)}` },
        h("span", { class: "position" }, model.range(i)), h("bdi", {}, model.label(i))));
    const element = h("ol", { role: "listbox", class: `tokens ${side}-side`, "aria-label": name }, items);
    const choose = (i) => ({ [side]: i });
    const pin = (to) => { pinned = to; select(to); };
    roving(element, items, { onFocus: (i) => pin(choose(i)), onEscape: () => pin(null) });
    element.addEventListener("click", (event) => {  // also on the one that has the focus already
      const item = event.target.closest("li");
      if (item) pin(choose(Number(item.dataset.index)));
    });
    element.addEventListener("pointerover", (event) => {
      const item = event.target.closest("li");
      if (item) select(choose(Number(item.dataset.index)));
    });
    element.addEventListener("pointerleave", () => select(pinned));
    return { element, items };
  };
  const queries = list("query", `Tokens that look, ${model.name}`), keys = list("key", `Tokens looked at, ${model.name}`);
  const lines = svg("svg", { class: "lines", viewBox: `0 0 ${kWidth} ${n * kRowHeight}`, height: n * kRowHeight, preserveAspectRatio: "none", "aria-hidden": "true" });
  const all = h("button", { type: "button", class: "chip layer", onclick: () => { pinned = null; select(null); } }, "all tokens");

  function select(next) {
    selected = next;
    all.setAttribute("aria-pressed", String(next === null));
    const cells = cellsOf(bytes, n, selected);
    drawLines(lines, cells, selected ? kFaintestOfOne : kFaintest);
    lines.classList.toggle("one", selected !== null);
    for (const { items } of [queries, keys]) {
      for (const item of items) {
        item.style.background = item.style.color = "";
        item.setAttribute("aria-selected", "false");
      }
    }
    if (selected) {
      const other = selected.query === undefined ? queries.items : keys.items;
      for (const { query, key, byte } of cells) {
        const item = other[selected.query === undefined ? query : key];
        item.style.background = rampColour(byte);
        item.style.color = inkOn(byte);
      }
      (selected.query === undefined ? keys.items[selected.key] : queries.items[selected.query]).setAttribute("aria-selected", "true");
    }
    onSelect(selected);
  }

  return {
    element: h("div", {}, h("div", { class: "list-heads" }, h("span", {}, "looks"), all, h("span", {}, "is looked at")),
      h("div", { class: "token-lists", style: `--row-height:${kRowHeight}px` }, queries.element, lines, keys.element)),
    show: (next) => { bytes = next; select(pinned); },
    redraw: () => select(selected),
  };
}
