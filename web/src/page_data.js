// The one JSON block of the page. Written by src/study/report/report_data.cpp; described in
// docs/report.md.

// Tables travel as {columns, rows} with rows as arrays; charts want objects.
export function rowsOf(table) {
  if (!table) return [];
  const { columns, rows } = table;
  return rows.map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i]])));
}

// Whether the model has no experts: the block then has no table of routes.
export const isDense = (run) => run.n_experts === 0;

const unpacked = (block) => ({
  ...block, rows: rowsOf(block),
  more: Object.fromEntries(Object.entries(block.more).map(([name, table]) => [name, rowsOf(table)])),
});

// Figure 7's rows have all experts of a data set, layer and choice.
const unpackedShares = (block, nExperts) => ({
  ...block,
  rows: rowsOf(block).flatMap(({ dataset, layer, choice, shares }) =>
    shares.map((share, expert) => ({ dataset, layer, expert, choice, share, even_share: 1 / nExperts }))),
});

function figuresOf(blocks, nExperts) {
  const figures = {};
  for (const [name, block] of Object.entries(blocks)) {
    if (name === "7") figures[name] = unpackedShares(block, nExperts);
    else if (typeof block.rows !== "string") figures[name] = unpacked(block);
  }
  for (const [name, block] of Object.entries(blocks)) {
    if (typeof block.rows === "string") figures[name] = { ...block, rows: figures[block.rows].rows, more: {} };
  }
  return figures;
}

export function readPageData() {
  const data = JSON.parse(document.getElementById("moescope-data").textContent);
  const run = data.run;
  const figures = figuresOf(data.figures, run.n_experts);
  return {
    ...data,
    datasets: run.datasets.map((d) => d.name),
    layers: run.layers,
    figures,
    claims: data.claims ? unpacked(data.claims) : null,
    shares: figures["7"]?.rows ?? [],
    repetition: figures.table5?.rows ?? [],
  };
}
