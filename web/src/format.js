// How numbers are written, in one place, so that a value reads the same in a chart, a table and a tip.

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const present = (value) => value !== null && value !== undefined && Number.isFinite(value);

export const count = (value) => (present(value) ? grouped.format(value) : "–");

export const fixed = (value, digits) => (present(value) ? value.toFixed(digits) : "–");

// A fraction as percent: 0.1234 -> "12.3 %".
export const percent = (fraction, digits = 1) =>
  present(fraction) ? `${(100 * fraction).toFixed(digits)} %` : "–";

// The same without the sign, for columns whose heading says percent.
export const percentBare = (fraction, digits = 1) => (present(fraction) ? (100 * fraction).toFixed(digits) : "–");

export const percentInterval = (low, high, digits = 1) =>
  present(low) && present(high) ? `${(100 * low).toFixed(digits)}–${(100 * high).toFixed(digits)}` : "";

// 12,345,678 -> "12.3 million"; small numbers stay as they are.
export function roughCount(value) {
  if (!present(value)) return "–";
  if (value >= 1e9) return `${(value / 1e9).toFixed(1)} billion`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} million`;
  return count(value);
}

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

// "a", "a and b", "a, b and c".
export function listing(words) {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

// Characters that nobody sees and that would reorder what stands beside them.
const kInvisible = /[\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const named = (character) => `⟨${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;

// What a token looks like in running text of the page: white space and invisible characters made
// visible.
export function visibleToken(text) {
  const shown = text.replace(/^<0x0A>$/, "↵").replace(/^<0x09>$/, "→").replace(/ /g, "␣").replace(/\n/g, "↵").replace(/\t/g, "→").replace(/\r/g, "␍")
    .replace(kInvisible, named);
  return shown === "" ? "∅" : shown;
}
