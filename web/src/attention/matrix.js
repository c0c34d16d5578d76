// One head's matrix, a cell a weight, with the tokens at its edges. Arrow keys move a cursor.
import { h } from "../dom.js";
import { rampColour } from "./ramp.js";
import { byteAt } from "./token_lists.js";

const kLabels = 92;  // pixels at the left and above
const cellSize = (n) => (n <= 24 ? 18 : n <= 64 ? 14 : 11);
const shortened = (text) => ([...text].length > 12 ? `${[...text].slice(0, 11).join("")}…` : text);

// `onCursor({query, key})` when the cursor moves. Returns the element and show(bytes).
export function matrix(model, onCursor) {
  const n = model.n_blocks;
  const cell = cellSize(n);
  const size = kLabels + n * cell;
  const scale = n > 128 ? 1 : Math.max(1, Math.min(devicePixelRatio, 2));
  const canvas = h("canvas", {
    class: "matrix", tabindex: 0, role: "img", width: size * scale, height: size * scale, style: `width:${size}px;height:${size}px`,
    "aria-label": `Matrix of weights, ${model.name}: arrow keys move from cell to cell, the text below tells the weight`,
  });
  const label = (i) => (model.pooled ? model.range(i) : shortened(model.label(i)));
  let bytes = null, cursor = null;

  function draw() {
    const context = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, size, size);
    context.font = `${Math.min(11, cell - 1)}px ${style.fontFamily}`;
    context.textBaseline = "middle";
    for (let i = 0; i < n; i++) {
      const middle = kLabels + (i + 0.5) * cell;
      context.fillStyle = cursor && (cursor.query === i) ? style.getPropertyValue("--accent") : style.color;
      context.textAlign = "right";
      context.fillText(label(i), kLabels - 6, middle, kLabels - 8);
      context.fillStyle = cursor && (cursor.key === i) ? style.getPropertyValue("--accent") : style.color;
      context.save();
      context.translate(middle, kLabels - 6);
      context.rotate(-Math.PI / 2);
      context.textAlign = "left";
      context.fillText(label(i), 0, 0, kLabels - 8);
      context.restore();
    }
    for (let query = 0; query < n; query++) {
      for (let key = 0; key <= query; key++) {
        context.fillStyle = rampColour(byteAt(bytes, query, key));
        context.fillRect(kLabels + key * cell, kLabels + query * cell, cell - 1, cell - 1);
      }
    }
    if (!cursor) return;
    context.strokeStyle = style.getPropertyValue("--accent");
    context.lineWidth = 2;
    context.strokeRect(kLabels + cursor.key * cell - 0.5, kLabels + cursor.query * cell - 0.5, cell, cell);
  }

  function cellAt(event) {
    const box = canvas.getBoundingClientRect();
    const key = Math.floor((event.clientX - box.left - kLabels) / cell), query = Math.floor((event.clientY - box.top - kLabels) / cell);
    return query >= 0 && query < n && key >= 0 && key <= query ? { query, key } : null;
  }
  function move(to) {
    cursor = to;
    draw();
    onCursor(to);
  }
  canvas.addEventListener("pointermove", (event) => {
    const at = cellAt(event);
    if (at?.query !== cursor?.query || at?.key !== cursor?.key) move(at);
  });
  canvas.addEventListener("pointerleave", () => move(null));
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return move(null);
    const [down, right] = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key] ?? [0, 0];
    if (!down && !right) return;
    event.preventDefault();
    const query = Math.max(0, Math.min(n - 1, (cursor?.query ?? 0) + (cursor ? down : 0)));
    move({ query, key: Math.max(0, Math.min(query, (cursor?.key ?? 0) + (cursor ? right : 0))) });
  });
  return {
    element: h("div", { class: "scroll-box matrix-box" }, canvas),
    show: (next) => { bytes = next; draw(); },
    redraw: draw,
  };
}
