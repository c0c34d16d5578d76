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

export function readPageData() {
  const data = JSON.parse(document.getElementById("moescope-data").textContent);
  const run = data.run;
  return {
    ...data,
    datasets: run.datasets.map((d) => d.name),
    layers: run.layers,
    shares: rowsOf(data.shares).flatMap(({ dataset, layer, choice, shares }) =>
      shares.map((share, expert) => ({ dataset, layer, expert, choice, share }))),
    repetition: rowsOf(data.repetition),
    perplexity: rowsOf(data.perplexity),
  };
}
