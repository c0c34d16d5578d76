// The pages of `ablate` and `audit`, opened in headless Chromium: no errors, no requests, every bar,
// cell and number equals --json, and the audit table is sorted by click and by keyboard alone.
//   node experts_page_test.mjs MOESCOPE MODEL
// Exits 77 (skipped) without a browser.
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { Browser, findBrowser, kChartsDrawn } from "./browser.mjs";

const [moescope, model] = process.argv.slice(2);
const browserPath = findBrowser();
if (!browserPath) {
  console.log("skipped: no Chromium on the PATH (set CHROMIUM to its path)");
  process.exit(77);
}

const kHostile = "</script><img src=x onerror=alert(1)><!--{{data}}";
const folder = mkdtempSync(join(tmpdir(), "moescope-experts-"));
const page = join(folder, "page.html");

function answer(...args) {
  const { status, stdout, stderr } = spawnSync(moescope, [...args, "--json"], { encoding: "utf8", maxBuffer: 1 << 28 });
  assert.equal(status, 0, `moescope ${args.join(" ")}: ${stderr}`);
  return JSON.parse(stdout);
}

const near = (a, b, what) => assert.ok(Math.abs(a - b) <= 1e-5 * Math.max(1, Math.abs(b)), `${what}: drawn ${a}, --json ${b}`);

function same(drawn, wanted, what) {
  for (const [column, value] of Object.entries(wanted)) {
    const shown = drawn[column] ?? null;
    if (typeof value === "number") near(shown, value, `${what}, ${column}`);
    else assert.equal(shown, value, `${what}, ${column}`);
  }
}

// Twelve units a data set, so that there are intervals.
function writeTexts() {
  const documents = (make) => Array.from({ length: 12 }, (_, i) => JSON.stringify({ text: make(i) })).join("\n");
  writeFileSync(join(folder, "prose.jsonl"), documents((i) => `The ${["river", "town", "winter"][i % 3]} was quiet when letter ${i} came. `.repeat(2)));
  writeFileSync(join(folder, "code.jsonl"), documents((i) => `def f_${i}(x):\n    if x > ${i}:\n        return x + ${i} # ${kHostile}\n`));
  return ["-m", model, "--data", `prose=${join(folder, "prose.jsonl")}`, "--data", `<b>code=${join(folder, "code.jsonl")}`, "--samples", "200"];
}

const marksOf = (browser, chart, role) => browser.evaluate(`
  [...moescope.charts()[${JSON.stringify(chart)}].container().querySelectorAll('[aria-roledescription="${role}"]')]
    .map((e) => ({ ...e.__data__.datum, width: e.__data__.width, fill: e.__data__.fill }))`);

const choose = (browser, selector, value) => browser.evaluate(`{
  const box = document.querySelector(${JSON.stringify(selector)});
  box.value = ${JSON.stringify(String(value))};
  box.dispatchEvent(new Event("change"));
}`);

async function open(browser, options = {}) {
  await browser.open(pathToFileURL(page).href, options);
  assert.ok(await browser.until(kChartsDrawn), "charts draw within a minute");
}

async function checkQuiet(browser) {
  assert.deepEqual(browser.problems, [], "the console stays silent");
  const foreign = browser.requests.filter((url) => !url.startsWith("file://") && !url.startsWith("data:"));
  assert.deepEqual(foreign, [], "no requests");
  assert.equal(await browser.evaluate("document.querySelectorAll('img, td b, th b').length"), 0, "markup of data is text");
}

// Every section with a figure says how to read it and what makes it.
async function checkFrames(browser, ids) {
  for (const id of ids) {
    const text = await browser.evaluate(`document.querySelector("#${id} figcaption")?.textContent ?? ""`);
    assert.ok(/^How to read it\. .{40}/.test(text) && text.includes("moescope a"), `${id}: ${text}`);
  }
}

async function checkNarrow(browser) {
  await open(browser, { width: 400, height: 800, scheme: "dark" });
  assert.ok(await browser.evaluate("document.documentElement.scrollWidth <= 400"), "the page is at most 400 pixels wide");
}

const together = (row) => ({ ...row, dataset: row.dataset ?? "all together" });

// The bars of what is chosen are the largest effects of --json, as long as their values.
async function checkBars(browser, rows, mode, dataset) {
  await choose(browser, "#largest .select:nth-of-type(1) select", mode);
  await choose(browser, "#largest .select:nth-of-type(2) select", dataset);
  assert.ok(await browser.until(`moescope.charts()["ablation-largest-"]?.container().textContent.includes(${JSON.stringify(`${mode}, ${dataset}`)})`, 20));
  const bars = await marksOf(browser, "ablation-largest-", "bar");
  const wanted = rows.filter((row) => row.mode === mode && row.dataset === dataset).sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect));
  assert.equal(bars.length, Math.min(24, wanted.length));
  bars.forEach((bar, i) => {
    near(bar.effect, wanted[i].effect, `effect of bar ${i}`);
    const { intervention, effect_low: low, effect_high: high, loss } = wanted.find((row) => row.intervention === bar.intervention);
    same(bar, { intervention, effect_low: low, effect_high: high, loss }, `bar ${i}`);
    assert.ok(Math.abs(bar.width - (bars[0].width * Math.abs(bar.effect)) / Math.abs(bars[0].effect)) < 0.05, "a bar is as long as its effect");
  });
  const rules = await browser.evaluate(`moescope.charts()["ablation-largest-"].container().querySelectorAll('[aria-roledescription="rule mark"] , .mark-rule.role-mark line').length`);
  assert.ok(rules >= bars.length, "each bar has its interval");
}

async function checkAblation(browser, texts) {
  const json = answer("ablate", ...texts, "--cells", "all", "--mode", "mask", "zero", "--title", kHostile, "-o", page);
  const rows = json.rows.map(together);
  await open(browser);
  assert.equal(await browser.evaluate("document.title"), kHostile);
  const held = await browser.evaluate("moescope.page.figures.ablation.rows");
  assert.equal(held.length, rows.length);
  rows.forEach((row, i) => same(held[i], row, `row ${i}`));
  await checkBars(browser, rows, "zero", "all together");
  await checkBars(browser, rows, "mask", "<b>code");
  const cells = await marksOf(browser, "ablation-", "rect mark");
  const ofMap = rows.filter((row) => row.mode === "mask" && row.dataset === "all together");
  assert.equal(cells.length, 64);
  for (const row of ofMap) near(cells.find((c) => c.layer === row.layer && c.expert === row.expert).effect, row.effect, `cell ${row.intervention}`);
  const byDataset = await marksOf(browser, "ablation-datasets-", "rect mark");
  assert.equal(byDataset.length, 2 * 24);
  for (const cell of byDataset) {
    near(cell.effect, rows.find((row) => row.intervention === cell.intervention && row.dataset === cell.dataset).effect, `${cell.intervention} in ${cell.dataset}`);
  }
  const first = await browser.evaluate("document.querySelector('.sentences li').textContent");
  const [largest] = [...ofMap].sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect));
  assert.ok(first.startsWith(`Under mask, expert ${largest.expert}, layer ${largest.layer} has the largest effect`) && first.includes(largest.effect.toFixed(4)), first);
  await checkFrames(browser, ["largest", "map", "by-dataset"]);
  await checkQuiet(browser);
  await checkNarrow(browser);
  return rows.length;
}

const shownRows = (browser) => browser.evaluate(
  "[...document.querySelectorAll('.sortable tbody tr')].map((row) => [Number(row.dataset.layer), Number(row.dataset.expert)])");

async function press(browser, key) {
  const codes = { Tab: 9, Enter: 13 };
  const event = { key, code: key, windowsVirtualKeyCode: codes[key], ...(key === "Enter" ? { text: "\r" } : {}) };
  await browser.send("Input.dispatchKeyEvent", { type: "keyDown", ...event });
  await browser.send("Input.dispatchKeyEvent", { type: "keyUp", ...event });
}

// The order that the table should have, worked out from --json.
function expected(rows, column, descending) {
  const sorted = [...rows].sort((a, b) => {
    const [x, y] = [a[column], b[column]];
    if (x === null || y === null) return (x === null) - (y === null);
    return (x < y ? -1 : x > y ? 1 : 0) * (descending ? -1 : 1);
  });
  return sorted.map((row) => [row.layer, row.expert]);
}

// Values of the page have six digits, so that rows of equal ones may change places with --json's.
async function checkOrder(browser, rows, column, descending) {
  const place = new Map(rows.map((row) => [`${row.layer}:${row.expert}`, row[column]]));
  const values = (order) => order.map(([layer, expert]) => place.get(`${layer}:${expert}`));
  const shown = values(await shownRows(browser));
  values(expected(rows, column, descending)).forEach((value, i) => {
    if (typeof value === "number") near(shown[i], value, `row ${i} by ${column}`);
    else assert.equal(shown[i], value, `row ${i} by ${column}`);
  });
  const sorted = await browser.evaluate("[...document.querySelectorAll('.sortable th[aria-sort]')].map((e) => [e.firstChild.dataset.column, e.getAttribute('aria-sort')])");
  assert.deepEqual(sorted, [[column, descending ? "descending" : "ascending"]]);
}

async function checkSorting(browser, rows) {
  await checkOrder(browser, rows, "effect", true);
  const columns = await browser.evaluate("[...document.querySelectorAll('.sort')].map((e) => e.dataset.column)");
  for (const column of columns) {
    const first = ["layer", "expert", "peak_token"].includes(column) ? false : true;
    if (column === "effect") continue;
    await browser.evaluate(`document.querySelector('.sort[data-column="${column}"]').click()`);
    await checkOrder(browser, rows, column, first);
    await browser.evaluate(`document.querySelector('.sort[data-column="${column}"]').click()`);
    await checkOrder(browser, rows, column, !first);
  }
  // By keys alone: from the top of the page to each heading, Enter once and again.
  await browser.evaluate("{ const top = document.querySelector('h1'); top.tabIndex = -1; top.focus(); }");
  for (let i = 0; i < 60 && !await browser.evaluate("document.activeElement.matches('.sort')"); i++) await press(browser, "Tab");
  for (const column of columns) {
    assert.equal(await browser.evaluate("document.activeElement.dataset.column"), column, "Tab goes from heading to heading");
    const outline = await browser.evaluate("getComputedStyle(document.activeElement).outlineStyle");
    assert.ok(/solid|auto/.test(outline), "the focus is seen");
    await press(browser, "Enter");
    const once = await browser.evaluate("document.querySelector('.sortable th[aria-sort]').getAttribute('aria-sort')");
    await checkOrder(browser, rows, column, once === "descending");
    await press(browser, "Enter");
    await checkOrder(browser, rows, column, once !== "descending");
    await press(browser, "Tab");
  }
  return columns.length;
}

async function checkSuperExperts(browser, json) {
  const cards = await browser.evaluate("[...document.querySelectorAll('.super-experts > li')].map((card) => ({ heading: card.querySelector('h3').textContent, signs: [...card.querySelectorAll('.sign')].map((e) => e.textContent) }))");
  assert.equal(cards.length, json.super_experts.length);
  json.super_experts.forEach((expert, i) => {
    assert.equal(cards[i].heading, `Layer ${expert.layer}, expert ${expert.expert}: ${expert.finding ? "a finding" : "no finding"}`);
    assert.deepEqual(cards[i].signs, ["✓", expert.massive ? "✓" : "✗", expert.stands_out ? "✓" : "✗", expert.breaks ? "✓" : "✗"]);
  });
}

async function checkAudit(browser, texts) {
  const json = answer("audit", ...texts, "--effects", "all", "-o", page);
  await open(browser);
  const held = await browser.evaluate("moescope.page.figures.audit");
  assert.equal(held.rows.length, 64);
  json.rows.forEach((row, i) => same(held.rows[i], row, `row ${i}`));
  for (const list of ["layers", "super_experts", "correlations"]) {
    assert.equal(held.more[list].length, json[list].length);
    json[list].forEach((row, i) => same(held.more[list][i], row, `${list} ${i}`));
  }
  for (const [chart, column] of [["audit-all", "all"], ["audit-within", "within_layers"]]) {
    const dots = await marksOf(browser, chart, "circle");
    assert.equal(dots.length, json.correlations.length);
    for (const row of json.correlations) near(dots.find((dot) => dot.criterion === row.criterion)[column], row[column], row.criterion);
  }
  await checkSuperExperts(browser, json);
  const nColumns = await checkSorting(browser, json.rows);
  await checkFrames(browser, ["super-experts", "audit", "correlations"]);
  await checkQuiet(browser);
  await checkNarrow(browser);
  return nColumns;
}

async function main() {
  const texts = writeTexts();
  const browser = new Browser(browserPath);
  try {
    const nRows = await checkAblation(browser, texts);
    const nColumns = await checkAudit(browser, texts);
    await checkQuiet(browser);
    console.log(`${nRows} effects and 64 experts equal --json; sorted by ${nColumns} columns, by click and by keys`);
  } finally {
    await browser.close();
  }
}

try {
  await main();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
