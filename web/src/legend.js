// Which data sets are shown: one state for the whole page, and the row of switches that sets it.
import { h } from "./dom.js";
import { datasetColour } from "./palette.js";

let hidden = new Set();
const listeners = [];

export const hiddenDatasets = () => [...hidden];
export const onHiddenChange = (listener) => listeners.push(listener);

function change(next) {
  hidden = next;
  for (const listener of listeners) listener([...hidden]);
}

// A row of switches. A click turns one data set off or on; a double click shows it alone, or all again.
export function datasetLegend(datasets, label = "Data sets shown") {
  const chips = datasets.map((dataset, index) =>
    h("button", {
      type: "button", class: "chip", "aria-pressed": "true", title: "Click: off or on. Double click: only this one.",
      onclick: () => {
        const next = new Set(hidden);
        if (!next.delete(dataset)) next.add(dataset);
        change(next);
      },
      ondblclick: () => {
        const alone = hidden.size === datasets.length - 1 && !hidden.has(dataset);
        change(new Set(alone ? [] : datasets.filter((d) => d !== dataset)));
      },
    }, h("span", { class: "swatch", style: `background:${datasetColour(index)}` }), dataset));
  const all = h("button", { type: "button", class: "chip quiet", onclick: () => change(new Set()) }, "all");
  const show = () => {
    chips.forEach((chip, i) => chip.setAttribute("aria-pressed", String(!hidden.has(datasets[i]))));
    all.hidden = hidden.size === 0;
  };
  onHiddenChange(show);
  show();
  return h("div", { class: "legend", role: "group", "aria-label": label }, chips, all);
}
