// A report of a small real run, opened in headless Chromium: no errors, no requests, and every mark of
// the charts equals the --json of the figure's command.
//   node page_test.mjs MOESCOPE MODEL
// Exits 77 (skipped) without a browser.
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
const folder = mkdtempSync(join(tmpdir(), "moescope-page-"));
const run = join(folder, "run");
const page = join(folder, "page.html");

function moescopeOutput(...args) {
  const { status, stdout, stderr } = spawnSync(moescope, args, { encoding: "utf8", maxBuffer: 1 << 28 });
  assert.equal(status, 0, `moescope ${args.join(" ")}: ${stderr}`);
  return stdout;
}

const figure = (...args) => JSON.parse(moescopeOutput("figure", ...args, "--json")).rows;

function writeTexts() {
  const documents = (make) => Array.from({ length: 12 }, (_, i) => JSON.stringify({ text: make(i) })).join("\n");
  const prose = (i) => `The ${["river", "town", "winter"][i % 3]} was quiet when letter ${i} came. `.repeat(12);
  const code = (i) => `def f_${i}(x):\n    if x > ${i}:\n        return x + ${i}\n    return self.value\n\n`.repeat(10);
  writeFileSync(join(folder, "prose.jsonl"), documents(prose));
  writeFileSync(join(folder, "code.jsonl"), documents(code));
  writeFileSync(join(folder, "hostile.txt"), `${kHostile}\u2028 & "quotes' \\ <b>bold</b> \0 ∀x\n`.repeat(40));
  return ["--data", `prose=${join(folder, "prose.jsonl")}`, "--data", `code=${join(folder, "code.jsonl")}`,
    "--data", `<b>hostile=${join(folder, "hostile.txt")}`];
}

// Marks of one chart as drawn: what the SVG element is bound to and where it stands.
const marksOf = (browser, holder, role) => browser.evaluate(`
  [...moescope.charts()[${JSON.stringify(holder)}].container().querySelectorAll('[aria-roledescription="${role}"]')]
    .map((e) => ({ ...e.__data__.datum, height: e.__data__.height, x: e.__data__.x }))`);

const near = (a, b, what) => assert.ok(Math.abs(a - b) <= 1e-5 * Math.max(1, Math.abs(b)), `${what}: drawn ${a}, --json ${b}`);

async function checkShares(browser, layer, nDatasets, nExperts) {
  const drawn = await marksOf(browser, `shares-layer${layer}`, "bar");
  const expected = figure("7", run, "--layers", String(layer));
  assert.equal(expected.length, nDatasets * nExperts);
  assert.equal(drawn.length, expected.length, `bars of figure 7, layer ${layer}`);
  const perShare = drawn.find((m) => m.share > 0.05);
  for (const row of expected) {
    const mark = drawn.find((m) => m.dataset === row.dataset && m.expert === row.expert);
    assert.ok(mark, `no bar for ${row.dataset}, expert ${row.expert}`);
    near(mark.share, row.share, `share of ${row.dataset}, layer ${layer}, expert ${row.expert}`);
    assert.ok(Math.abs(mark.height - (row.share * perShare.height) / perShare.share) < 0.05, "a bar is as high as its share");
  }
}

const kMeasures = ["first_repeat", "any_overlap"];

async function checkRepetition(browser, layer, nDatasets) {
  const expected = figure("table5", run, "--layers", String(layer));
  assert.equal(expected.length, nDatasets);
  for (const measure of kMeasures) {
    const dots = await marksOf(browser, `repetition-${measure}-layer${layer}`, "circle");
    const nulls = await marksOf(browser, `repetition-${measure}-layer${layer}`, "point");
    assert.equal(dots.length, nDatasets);
    for (const row of expected) {
      const dot = dots.find((m) => m.dataset === row.dataset);
      near(dot[measure], row[measure], `${measure} of ${row.dataset}, layer ${layer}`);
      for (const name of ["marginal", "shuffle", "token", "uniform"]) {
        const column = `${measure}_null_${name}`;
        const mark = nulls.find((m) => m.dataset === row.dataset && m.null_column === column);
        if (row[column] === null) assert.equal(mark, undefined);
        else near(mark.expected, row[column], `${name} null of ${row.dataset}`);
      }
      for (const end of ["low", "high"]) {
        const value = row[`${measure}_${end}`];
        if (value === null) assert.equal(dot[`${measure}_${end}`], null);
        else near(dot[`${measure}_${end}`], value, `${end} end of ${row.dataset}`);
      }
    }
  }
}

// Every number of every table on the page is that of the command printed below it.
async function checkTables(browser) {
  const onPage = await browser.evaluate(
    "Object.fromEntries(Object.entries(moescope.page.figures).map(([name, f]) => [name, { rows: f.rows, more: f.more, command: f.command }]))");
  const claims = await browser.evaluate("({ rows: moescope.page.claims.rows, command: moescope.page.claims.command })");
  let nNumbers = 0;
  for (const [name, { rows, command }] of Object.entries({ ...onPage, claims })) {
    assert.ok(command.startsWith(`moescope figure ${name} `), command);
    const words = command.split(" ").slice(2).map((word) => word.replace(/^'|'$/g, ""));
    if (name === "7" || name === "table5") words.splice(words.indexOf("--layers") + 1, 1, "all");
    const expected = figure(...words);
    const drawn = name === "7" ? rows.filter((row) => row.choice === "either") : rows;
    assert.equal(drawn.length, expected.length, `rows of figure ${name}`);
    const key = (row) => ["dataset", "layer", "expert", "choice", "other", "other_layer", "predictor", "target", "lag", "path", "name"]
      .map((column) => row[column]).join("|");
    const byKey = new Map(expected.map((row) => [key(row), row]));
    for (const row of drawn) {
      const wanted = byKey.get(key(row));
      assert.ok(wanted, `figure ${name}: no row ${key(row)} in --json`);
      for (const [column, value] of Object.entries(row)) {
        if (typeof value === "number") near(value, wanted[column], `figure ${name}, ${key(row)}, ${column}`);
        else assert.equal(value, wanted[column], `figure ${name}, ${key(row)}, ${column}`);
        nNumbers += typeof value === "number";
      }
    }
  }
  for (const name of ["domains", "affinity", "explained", "vocabulary", "coactivation", "crosslayer", "paths", "lags", "words"]) {
    assert.ok(onPage[name], `figure ${name} is on the page`);
  }
  return nNumbers;
}

// The marks of the other charts carry the values of their rows.
async function checkStructure(browser, layer) {
  const distances = figure("domains", run, "--layers", String(layer)).filter((row) => row.other === null);
  const dots = await marksOf(browser, `domains-layer${layer}`, "circle");
  assert.equal(dots.length, distances.length);
  for (const row of distances) near(dots.find((m) => m.dataset === row.dataset).distance, row.distance, `distance of ${row.dataset}`);
  const odds = figure("affinity", run);
  const cells = await marksOf(browser, "affinity-raw", "rect mark");
  assert.equal(cells.length, odds.length);
  for (const row of odds) {
    const cell = cells.find((m) => m.layer === row.layer && m.expert === row.expert);
    near(cell.shown, Math.log2(row.odds_ratio), `odds ratio of layer ${row.layer} expert ${row.expert}`);
  }
}

// Everything that can be clicked can be reached and used by keys alone, and shows that it is reached.
async function checkKeyboard(browser) {
  const unreachable = await browser.evaluate(`
    [...document.querySelectorAll("button, a, select, input, summary, .table-scroll")].filter((e) => e.offsetParent !== null && e.tabIndex < 0).length`);
  assert.equal(unreachable, 0, "controls out of the order of Tab");
  await browser.evaluate("document.querySelector('#table-5 .chip.layer[aria-pressed=false]').focus()");
  const outline = await browser.evaluate("(document.activeElement.matches(':focus-visible'), getComputedStyle(document.activeElement).outlineStyle)");
  assert.notEqual(outline, "none", "focus shows");
  await browser.evaluate("document.querySelector('#domains .all-numbers').open = true");
  assert.ok(await browser.until("document.querySelector('#domains .all-numbers table')", 10), "numbers open");
}

// On a phone nothing but boxes of their own scrolls sideways.
async function checkNarrow(browser) {
  await browser.send("Emulation.setDeviceMetricsOverride", { width: 400, height: 800, deviceScaleFactor: 1, mobile: true });
  await browser.until("moescope.settled()", 20);
  await new Promise((r) => setTimeout(r, 500));
  await browser.until("moescope.settled()", 20);
  const { wide, client } = await browser.evaluate(
    "({ wide: document.documentElement.scrollWidth, client: document.documentElement.clientWidth })");
  assert.ok(wide <= client, `the page is ${wide} px wide on a screen of ${client}`);
}

async function checkPerplexity(browser) {
  const expected = figure("perplexity", run);
  const dots = await marksOf(browser, "perplexity", "circle");
  assert.equal(dots.length, expected.length);
  for (const row of expected) near(dots.find((m) => m.dataset === row.dataset).perplexity, row.perplexity, `perplexity of ${row.dataset}`);
}

// Switches do what they say, and what they hide comes back.
async function checkSwitches(browser, nDatasets, nExperts) {
  await browser.evaluate("document.querySelector('#figure-7 .legend .chip').click()");
  await browser.until(`moescope.charts()["shares-layer0"].container().querySelectorAll('[aria-roledescription="bar"]').length === ${(nDatasets - 1) * nExperts}`, 10);
  assert.equal((await marksOf(browser, "shares-layer0", "bar")).length, (nDatasets - 1) * nExperts);
  await browser.evaluate("document.querySelector('#figure-7 .legend .chip').click()");
  await browser.evaluate("document.querySelectorAll('#figure-7 .chip.layer')[1].click()");
  assert.ok(await browser.until("moescope.charts()['shares-layer1'] && moescope.settled()", 10), "layer 1 is drawn when chosen");
  await checkShares(browser, 1, nDatasets, nExperts);
  await browser.evaluate("document.querySelectorAll('#expert-tokens .picker')[1].querySelectorAll('.chip')[3].click()");
  assert.equal(await browser.evaluate("document.querySelector('#expert-tokens table').dataset.expert"), "3");
}

async function checkHostileText(browser) {
  assert.equal(await browser.evaluate("document.querySelectorAll('img, b b').length"), 0);
  assert.equal(await browser.evaluate("document.querySelectorAll('script').length"), 2);
  assert.ok(await browser.evaluate("document.querySelector('.summary').textContent.includes('<b>hostile')"));
  assert.ok(await browser.evaluate(`document.title === ${JSON.stringify(kHostile)}`));
}

async function main() {
  moescopeOutput("trace", "-m", model, ...writeTexts(), "-o", run);
  const { bytes } = JSON.parse(moescopeOutput("report", run, "-o", page, "--title", kHostile, "--json"));
  assert.equal(readFileSync(page).length, bytes);
  const browser = new Browser(browserPath);
  try {
    await browser.open(pathToFileURL(page).href);
    const drawn = await browser.until(kChartsDrawn);
    assert.deepEqual(browser.problems, [], "the console stays silent");
    assert.ok(drawn, "charts draw within a minute");
    const charts = await browser.evaluate("Object.keys(moescope.charts())");
    assert.ok(charts.length >= 5, `at least five charts at load, found ${charts}`);
    const { datasets, n_experts, shown } = await browser.evaluate(
      "({ datasets: moescope.page.datasets.length, n_experts: moescope.page.run.n_experts, shown: moescope.page.shown_layers })");
    assert.equal(datasets, 3);
    for (const layer of shown) {
      await checkShares(browser, layer, datasets, n_experts);
      await checkRepetition(browser, layer, datasets);
    }
    await checkPerplexity(browser);
    await checkStructure(browser, shown[0]);
    const nNumbers = await checkTables(browser);
    assert.ok(nNumbers > 3000, `tables with ${nNumbers} numbers`);
    await checkHostileText(browser);
    await checkSwitches(browser, datasets, n_experts);
    await checkKeyboard(browser);
    await checkNarrow(browser);
    assert.deepEqual(browser.problems, [], "the console stays silent");
    const foreign = browser.requests.filter((url) => !url.startsWith("file://") && !url.startsWith("data:"));
    assert.deepEqual(foreign, [], "no requests");
    console.log(`${charts.length} charts, ${nNumbers} numbers, ${bytes} bytes: all equal --json`);
  } finally {
    await browser.close();
  }
}

try {
  await main();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
