// Why some data sets have no interval.
import { h } from "./dom.js";
import { listing } from "./format.js";

// Says of which data sets no interval is given, and why; null when all have one.
export function noIntervalNote(rows) {
  const reasons = new Map(rows.filter((row) => row.why_no_interval).map((row) => [row.dataset, row.why_no_interval]));
  if (reasons.size === 0) return null;
  const text = listing([...reasons].map(([dataset, why]) => `${dataset} (${why})`));
  return h("p", { class: "note" }, `No interval for ${text}: resampling fewer than 10 independent units would claim a precision that is not there.`);
}
