// What a head mostly does. The kind is decided in C++ (src/lab/attention.h); colour and the style of the
// outline both say it, so that neither has to alone.
import { percent } from "../format.js";

const kKinds = [
  { key: "sink", title: "first token (sink)", colour: "#e69f00", line: "solid" },
  { key: "previous", title: "previous token", colour: "#009e73", line: "dashed" },
  { key: "self", title: "itself", colour: "#cc79a7", line: "double" },
  { key: "broad", title: "broad", colour: "#56b4e9", line: "dotted" },
  { key: "other", title: "other", colour: "var(--line)", line: "solid" },
];

export const headKinds = () => kKinds;
export const kindOf = (key) => kKinds.find((kind) => kind.key === key);

export const kindRule = (page) =>
  `A head counts as first token, previous token or itself when ${percent(page.most_of_the_weight, 0)} or more of its weight goes there, `
  + `as broad when its entropy is ${percent(page.broad_entropy, 0)} or more of even attention's.`;
