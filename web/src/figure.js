// The frame every figure shares: heading, controls, body, one sentence on how to read it, and the
// command that makes it.
import { h } from "./dom.js";

export function figureFrame({ id, title, lead, controls = [], body, howToRead, command }) {
  return h("section", { class: "figure", id },
    h("h2", {}, h("a", { class: "anchor", href: `#${id}` }, title)),
    lead ? h("p", { class: "lead" }, lead) : null,
    controls.length ? h("div", { class: "controls" }, controls) : null,
    h("figure", {}, body, h("figcaption", {}, h("p", {}, h("b", {}, "How to read it. "), howToRead),
      typeof command === "string" ? commandLine(command) : command)));
}

// A command to copy.
export function commandLine(command) {
  const code = h("code", {}, command);
  const button = h("button", {
    type: "button", class: "copy", "aria-label": "Copy the command",
    onclick: () => {
      navigator.clipboard?.writeText(code.textContent).then(() => {
        button.textContent = "copied";
        setTimeout(() => { button.textContent = "copy"; }, 1500);
      }, () => {});
    },
  }, "copy");
  return h("p", { class: "command" }, code, button);
}

// A command that follows what is chosen: "{layer}" in `template` is replaced by values.layer, ...
// Returns the element and the function that sets the values.
export function liveCommand(template) {
  const element = commandLine("");
  const set = (values) => {
    element.firstChild.textContent = template.replace(/\{(\w+)\}/g, (_, name) => shellWord(String(values[name])));
  };
  return [element, set];
}

const shellWord = (word) => (/^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replace(/'/g, "'\\''")}'`);

// Switches for layers: several at once (`several`) or one. Calls `onChange(layers)`.
export function layerPicker({ layers, chosen, several, onChange, label = "Layers" }) {
  let current = [...chosen];
  const chips = layers.map((layer) =>
    h("button", {
      type: "button", class: "chip layer",
      onclick: () => {
        if (!several) current = [layer];
        else if (!current.includes(layer)) current = [...current, layer].sort((a, b) => a - b);
        else if (current.length > 1) current = current.filter((l) => l !== layer);
        show();
        onChange(current);
      },
    }, layer));
  const show = () => chips.forEach((chip, i) => chip.setAttribute("aria-pressed", String(current.includes(layers[i]))));
  show();
  return h("div", { class: "picker", role: "group", "aria-label": label }, h("span", { class: "label" }, label), chips);
}

export function selectBox({ label, options, value, onChange }) {
  const select = h("select", { onchange: () => onChange(select.value) },
    options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
  return h("label", { class: "select" }, h("span", { class: "label" }, label), select);
}
