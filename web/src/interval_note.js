// Why some data sets have no interval.
import { h } from "./dom.js";
import { listing } from "./format.js";

// Says of which data sets no interval is given, and why; null when all have one.
export function noIntervalNote(rows) {
  const datasetsOf = new Map();  // reason -> data sets
  for (const { dataset, why_no_interval: why } of rows) {
    if (why) datasetsOf.set(why, (datasetsOf.get(why) ?? new Set()).add(dataset));
  }
  if (datasetsOf.size === 0) return null;
  const text = [...datasetsOf].map(([why, datasets]) => `${listing([...datasets])} (${why})`).join("; ");
  return h("p", { class: "note" }, `No interval for ${text}: resampling fewer than 10 independent units would claim a precision that is not there.`);
}
