// A figure that comes as a table with charts (report_figures.cpp): one chart for each value of the
// columns its panels go by, switches for these, and all rows as numbers below.
import { drawChart, visibleDatasets } from "../chart.js";
import { h, replace } from "../dom.js";
import { figureFrame, layerPicker, selectBox } from "../figure.js";
import { count, fixed } from "../format.js";
import { noIntervalNote } from "../interval_note.js";
import { datasetLegend } from "../legend.js";

const kWideGrid = 400;  // charts wider than this in a picture stand at most two in a row

const unique = (values) => [...new Set(values)];

// The rows of each panel of a chart: [{values: {layer: 0}, rows}].
function panelsOf(chart, rows) {
  const panels = new Map();
  for (const row of rows) {
    const values = Object.fromEntries(chart.panels.map((column) => [column, row[column]]));
    const key = JSON.stringify(values);
    if (!panels.has(key)) panels.set(key, { values, rows: [] });
    panels.get(key).rows.push(row);
  }
  return [...panels.values()];
}

const titleOf = (chart, values) =>
  (chart.spec.title ?? "").replace(/\{\{(\w+)\}\}/g, (place, name) => (name in values ? values[name] : place));

// Vega-Lite fits the width of charts of a fixed height only: a step becomes one.
function heightOf(spec, rows) {
  const step = spec.height?.step;
  return step ? step * new Set(rows.map((row) => row[spec.layer[0].encoding.y.field])).size : spec.height;
}

function specOf(chart, panel, width, adapt) {
  const spec = {
    ...chart.spec, width, height: heightOf(chart.spec, panel.rows), title: titleOf(chart, panel.values), data: { values: panel.rows },
    transform: [...(panel.rows[0]?.dataset === undefined ? [] : [visibleDatasets]), ...(chart.spec.transform ?? [])],
  };
  return adapt ? adapt(spec, width, panel.rows) : spec;
}

// Numbers as the tables of the page show them; shares keep four digits, as units differ by column.
export function cellText(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return count(value);
  return Math.abs(value) >= 0.0001 && Math.abs(value) < 1000 ? fixed(value, 4) : value.toExponential(2);
}

// All columns that say something, filled in when it is opened.
function numbers(title, rows) {
  const columns = Object.keys(rows[0] ?? {}).filter((name) => !name.startsWith("why_") && rows.some((row) => row[name] !== null));
  const body = h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": `${title}, as numbers` });
  const details = h("details", { class: "all-numbers", ontoggle: () => {
    if (!details.open || body.firstChild) return;
    replace(body, h("table", { class: "numbers" },
      h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, columns.map((name) => h("td", {}, cellText(row[name]))))))));
  } }, h("summary", {}, `Numbers (${count(rows.length)} rows)`), body);
  return details;
}

function keyList(keys) {
  return h("ul", { class: "key" }, keys.map(([symbol, name, says]) =>
    h("li", {}, h("span", { class: "symbol" }, symbol), h("b", {}, name), says ? `: ${says}` : null)));
}

// entry: figure, id, title, lead, howToRead; and where it has them
//   keys       [[symbol, name, what it says]] of the marks
//   headings, values   column -> heading of its switch, value -> what the switch calls it
//   isWide(page)       charts below each other, as wide as the page
//   note(about)        a sentence above the charts
//   adapt(spec, width, rows) -> spec    a last change before drawing
//   after(page, layers)                 more below the charts
//   charts     names of the charts that belong to it; default all of the figure
//   isThere(rows)   whether the figure has what it draws; default always
//   numbers    the list whose numbers stand below: "rows" (default) or a further list; with `charts`
//              none by default, as another entry has them
//   hasInterval(row)   which rows are expected to have one; default all
export function tableFigure(page, entry) {
  const figure = page.figures[entry.figure];
  if (!figure || figure.rows.length === 0 || entry.isThere?.(figure.rows) === false) return null;
  const listOf = (name) => (name === "rows" ? figure.rows : figure.more[name]);
  const tableOf = (chart) => listOf(chart.table);
  const charts = figure.charts.filter((chart) => !entry.charts || (entry.charts.includes(chart.name) && tableOf(chart)?.length > 0));
  if (entry.charts && charts.length === 0) return null;
  const numbersOf = entry.numbers ?? (entry.charts ? null : "rows");
  const panelColumns = unique(charts.flatMap((chart) => chart.panels));
  const chosen = {};  // column -> value or, of layers, values
  const controls = [];
  const body = h("div");

  const shownPanels = (chart) => panelsOf(chart, tableOf(chart)).filter(({ values }) =>
    Object.entries(values).every(([column, value]) => (column === "layer" ? chosen.layer.includes(value) : chosen[column] === value)));

  function draw() {
    replace(body, charts.map((chart) => {
      const panels = shownPanels(chart);
      const layout = entry.isWide?.(page) ? "stack" : chart.width > kWideGrid ? "grid two" : "grid";
      return h("div", { class: `charts ${layout}` }, panels.map((panel) => {
        const holder = h("div");
        const place = chart.panels.length ? `-${Object.entries(panel.values).filter(([c]) => c === "layer").map(([c, v]) => `${c}${v}`).join("-")}` : "";
        drawChart(holder, `${chart.name}${place}`, `${entry.title}: ${titleOf(chart, panel.values)}`,
          (width) => specOf(chart, panel, width, entry.adapt));
        return holder;
      }));
    }), entry.after?.(page, chosen.layer), noIntervalNote(figure.rows.filter(entry.hasInterval ?? (() => true))), numbersOf ? numbers(entry.title, listOf(numbersOf)) : null);
  }

  for (const column of panelColumns) {
    const values = unique(charts.flatMap((chart) => (chart.panels.includes(column) ? tableOf(chart) : [])).map((row) => row[column]));
    if (column === "layer") {
      chosen.layer = page.shown_layers.filter((layer) => values.includes(layer));
      if (chosen.layer.length === 0) chosen.layer = values.slice(0, 3);
      controls.push(layerPicker({ layers: values, chosen: chosen.layer, several: true, onChange: (next) => { chosen.layer = next; draw(); } }));
    } else {
      chosen[column] = values[0];
      if (values.length < 2) continue;
      controls.push(selectBox({
        label: entry.headings?.[column] ?? column, options: values.map((v) => [v, entry.values?.[v] ?? v]), value: values[0],
        onChange: (next) => { chosen[column] = next; draw(); },
      }));
    }
  }
  const byDataset = figure.rows.some((row) => page.datasets.includes(row.dataset));
  if (byDataset && !panelColumns.includes("dataset")) controls.push(datasetLegend(page.datasets));
  if (entry.keys) controls.push(keyList(entry.keys));
  draw();
  return figureFrame({
    id: entry.id, title: entry.title, lead: entry.lead, controls,
    body: [entry.note ? h("p", { class: "note" }, entry.note(figure.about)) : null, body],
    howToRead: entry.howToRead, command: figure.command,
  });
}
