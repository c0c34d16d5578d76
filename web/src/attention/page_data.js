// The one JSON block of the attention page. Written by src/lab/attention_page_data.cpp; described in
// docs/attention.md.
import { visibleToken } from "../format.js";
import { rowsOf } from "../page_data.js";

export const triangleCells = (n) => (n * (n + 1)) / 2;

// The byte of a weight is 255 times its square root.
export const weightOfByte = (byte) => (byte / 255) ** 2;

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

// Adds to a model: matrix(layer, head), the bytes of a lower triangle, row after row, head n_heads being
// the mean of heads; label(i) and range(i) of a token or, where tokens are pooled, of a block of them.
function withMatrices(model) {
  const bytes = bytesOf(model.weights);
  const cells = triangleCells(model.n_blocks);
  const first = (i) => i * model.block;
  const end = (i) => Math.min(first(i) + model.block, model.tokens.length);
  return {
    ...model,
    weights: null,
    heads: rowsOf(model.heads),
    pooled: model.block > 1,
    matrix: (layer, head) => {
      const begin = (layer * (model.n_heads + 1) + head) * cells;
      return bytes.subarray(begin, begin + cells);
    },
    label: (i) => model.tokens.slice(first(i), end(i)).map(visibleToken).join(""),
    range: (i) => (end(i) - first(i) === 1 ? String(first(i)) : `${first(i)}–${end(i) - 1}`),
  };
}

export function readAttentionPage() {
  const page = JSON.parse(document.getElementById("moescope-data").textContent);
  return { ...page, models: page.models.map(withMatrices) };
}

export const headName = (model, { layer, head }) => (head === model.n_heads ? `layer ${layer}, mean of heads` : `layer ${layer}, head ${head}`);
