// The list of sections, to find one's way on a long page.
import { h } from "../dom.js";

export function contents(sections) {
  const entries = sections.filter((section) => section.id && section.querySelector("h2"));
  if (entries.length < 4) return null;
  return h("nav", { class: "contents", "aria-label": "Contents" },
    h("ol", {}, entries.map((section) => h("li", {}, h("a", { href: `#${section.id}` }, section.querySelector("h2").textContent)))));
}
