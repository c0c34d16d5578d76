// Title, and in two sentences what is shown.
import { h } from "../dom.js";
import { commandLine } from "../figure.js";
import { count, listing, plural } from "../format.js";

const described = (model) => [
  h("b", {}, model.name), ` (${model.family}, ${plural(model.n_layers, "layer")} of ${plural(model.n_heads, "head")})`,
];

function joined(parts) {
  return parts.map((part, i) => [i === 0 ? "" : i + 1 === parts.length ? " and " : ", ", part]);
}

const lengths = (models) => {
  const n = models.map((model) => model.tokens.length);
  return new Set(n).size === 1 ? `${count(n[0])} tokens` : `${listing(n.map(count))} tokens`;
};

// What a page does not hold, said before anybody looks for it.
function pooledNote(page) {
  const pooled = page.models.filter((model) => model.pooled);
  if (pooled.length === 0) return null;
  return h("p", { class: "warning pooled" }, pooled.map((model) =>
    `${model.name}: ${count(model.tokens.length)} tokens are pooled to ${count(model.n_blocks)} blocks of ${model.block}, so that the page stays small. `),
    "A cell is then the share of a row’s weight that goes to a block of keys, mean over a block of queries. Figures of heads are of all tokens. "
    + "A shorter text shows single tokens; --layer and --head without -o print the rows of one head.");
}

export function summary(page) {
  return h("header", {},
    h("p", { class: "kicker" }, "moescope attention"),
    h("h1", {}, page.title),
    h("p", { class: "summary" }, "What every attention head of ", joined(page.models.map(described)), ` looks at in ${page.models.length > 1 ? "the same" : "a"} text of ${lengths(page.models)}.`),
    pooledNote(page),
    commandLine(page.command));
}
