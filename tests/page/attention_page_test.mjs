// The attention page of two models over one hostile text, opened in headless Chromium: no errors, no
// requests, and every dot, weight and share equals the --json of the command; keys alone reach it all.
//   node attention_page_test.mjs MOESCOPE MODEL
// Exits 77 (skipped) without a browser.
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
const kText = `The river is cold. ${kHostile}\u202e\u2028\u0007 & "quotes' \\ <b>bold</b> ∀x The river is deep.`;
const folder = mkdtempSync(join(tmpdir(), "moescope-attention-"));
const page = join(folder, "page.html");
// The same weights twice: what is side by side has to be told apart by name.
const other = join(folder, "<b>other.gguf");

function answer(...args) {
  const { status, stdout, stderr } = spawnSync(moescope, ["attention", ...args, "--json"], { encoding: "utf8", maxBuffer: 1 << 28 });
  assert.equal(status, 0, `moescope attention ${args.join(" ")}: ${stderr}`);
  return JSON.parse(stdout);
}

const near = (a, b, what) => assert.ok(Math.abs(a - b) <= 1e-5 * Math.max(1, Math.abs(b)), `${what}: drawn ${a}, --json ${b}`);
// What one byte of a weight's square root may be off by.
const bound = (weight) => Math.sqrt(weight) / 255 + 4e-6;
function nearWeight(drawn, weight, what, written = 0) {
  assert.ok(Math.abs(drawn - weight) <= bound(weight) + written, `${what}: shown ${drawn}, --json ${weight}`);
}

const choose = (browser, selector, value) => browser.evaluate(`{
  const box = document.querySelector(${JSON.stringify(selector)});
  box.value = ${JSON.stringify(String(value))};
  box.dispatchEvent(new Event("change"));
}`);

const dotsOf = (browser, figure) => browser.evaluate(`
  [...moescope.charts()["heads-${figure}"].container().querySelectorAll('[aria-roledescription="point"]')]
    .map((e) => ({ ...e.__data__.datum, x: e.__data__.x, y: e.__data__.y }))`);

async function checkDots(browser, figure, json, names) {
  await choose(browser, "#head-figures select", figure);
  assert.ok(await browser.until(`moescope.charts()["heads-${figure}"] && moescope.settled()`, 20), `${figure} is drawn when chosen`);
  const dots = await dotsOf(browser, figure);
  assert.equal(dots.length, json.rows.length);
  const perModel = json.rows.length / names.length;
  const [low, high] = [dots.reduce((a, b) => (a[figure] < b[figure] ? a : b)), dots.reduce((a, b) => (a[figure] > b[figure] ? a : b))];
  json.rows.forEach((row, i) => {
    const dot = dots.find((d) => d.dataset === names[Math.floor(i / perModel)] && d.layer === row.layer && d.head === row.head);
    near(dot[figure], row[figure], `${figure} of layer ${row.layer}, head ${row.head}`);
    near(dot.even, json.models[Math.floor(i / perModel)].even[figure], `${figure} of even attention`);
    assert.equal(dot.kind, row.kind);
    const expected = high.y + ((high[figure] - row[figure]) / (high[figure] - low[figure])) * (low.y - high.y);
    assert.ok(Math.abs(dot.y - expected) < 0.05, "a dot is as high as its figure");
  });
}

// Every weight that the page holds of a head, and the lines and words that it shows of them.
async function checkHead(browser, layer, head) {
  const rows = answer("-m", model, "-p", kText, "--layer", layer, "--head", head).models[0].attention;
  const held = await browser.evaluate(`[...moescope.page.models[0].matrix(${layer}, ${head})].map((byte) => (byte / 255) ** 2)`);
  assert.equal(held.length, (rows.length * (rows.length + 1)) / 2);
  let cell = 0;
  for (const { position, weights } of rows) {
    weights.forEach((weight, key) => nearWeight(held[cell++], weight, `weight of ${key} at ${position}, layer ${layer}, head ${head}`));
  }
  await choose(browser, ".head-panel .controls label:nth-child(1) select", layer);
  await choose(browser, ".head-panel .controls label:nth-child(2) select", head);
  const lines = () => browser.evaluate(`[...document.querySelector(".head-panel .lines").children]
    .map((e) => ({ query: Number(e.dataset.query), key: Number(e.dataset.key), opacity: Number(e.getAttribute("opacity")) }))`);
  const checkLines = async (faintest, ofRow) => {
    const drawn = await lines();
    for (const { query, key, opacity } of drawn) nearWeight(opacity, rows[query].weights[key], `line ${query} to ${key}`, 1e-4);
    const strong = rows.filter(({ position }) => ofRow === undefined || position === ofRow)
      .flatMap(({ weights }) => weights).filter((weight) => weight > faintest + bound(weight));
    assert.ok(strong.length > 0 && drawn.length >= strong.length, `${drawn.length} lines for ${strong.length} weights above ${faintest}`);
    return drawn;
  };
  await checkLines(0.02);
  const last = rows.length - 2;
  await browser.evaluate(`document.activeElement.blur(); document.querySelectorAll(".head-panel .query-side li")[${last}].focus()`);
  const ofRow = await checkLines(0.002, last);
  assert.ok(ofRow.every(({ query }) => query === last), "a token that has the focus shows only its row");
  const words = await browser.evaluate(`[...document.querySelectorAll(".head-panel .weights li")]
    .map((e) => ({ at: Number(e.dataset.at), percent: parseFloat(e.querySelector("b").textContent) }))`);
  assert.equal(words.length, 8);
  for (const { at, percent } of words) nearWeight(percent / 100, rows[last].weights[at], `words of key ${at}`, 0.00051);
  const most = Math.max(...rows[last].weights);
  assert.ok(rows[last].weights[words[0].at] >= most - 2 * bound(most), "the first word is the largest weight");
  await browser.evaluate(`document.querySelectorAll(".head-panel .query-side li")[${last}].dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }))`);
  return rows;
}

// The mean of heads is that of the matrices of --json.
async function checkMean(browser, layer, nHeads) {
  const all = Array.from({ length: nHeads }, (_, head) => answer("-m", model, "-p", kText, "--layer", layer, "--head", head).models[0].attention);
  const held = await browser.evaluate(`[...moescope.page.models[0].matrix(${layer}, ${nHeads})].map((byte) => (byte / 255) ** 2)`);
  let cell = 0;
  all[0].forEach(({ weights }, query) => weights.forEach((_, key) => {
    const mean = all.reduce((sum, rows) => sum + rows[query].weights[key], 0) / nHeads;
    nearWeight(held[cell++], mean, `mean weight of ${key} at ${query}`);
  }));
}

// Thumbnails are the matrices, pixel by pixel: the darker, the more weight.
async function checkThumbnail(browser, rows, layer, head) {
  const red = await browser.evaluate(`(() => {
    const canvas = document.querySelector('.thumbnail[data-layer="${layer}"][data-head="${head}"] canvas');
    const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return { width, height, red: [...data].filter((_, i) => i % 4 === 0), alpha: [...data].filter((_, i) => i % 4 === 3) };
  })()`);
  assert.equal(red.width, rows.length);
  const pixels = rows.flatMap(({ position, weights }) => weights.map((weight, key) => ({ weight, red: red.red[position * red.width + key] })));
  pixels.sort((a, b) => a.weight - b.weight);
  for (let i = 0; i + 1 < pixels.length; i++) {
    if (pixels[i + 1].weight - pixels[i].weight > 2 * bound(pixels[i + 1].weight)) {
      assert.ok(pixels[i + 1].red <= pixels[i].red, `weight ${pixels[i + 1].weight} is paler than ${pixels[i].weight}`);
    }
  }
  assert.ok(pixels[0].red - pixels.at(-1).red > 100, "weights differ in colour");
  assert.equal(red.alpha[rows.length - 1], 0, "what the first token cannot see is left empty");
}

async function checkSinkRoutes(browser, json) {
  const shown = await browser.evaluate(`[...document.querySelectorAll("#sink-routes table")].map((table) => [...table.tBodies[0].rows].map((row) =>
    ({ cells: [...row.cells].map((cell) => cell.textContent), own: [...row.querySelectorAll(".share")].findIndex((e) => e.classList.contains("own")) })))`);
  assert.equal(shown.length, json.models.length);
  shown.forEach((rows, i) => {
    assert.equal(rows.length, json.models[i].sink_routes.length);
    rows.forEach(({ cells, own }, layer) => {
      const route = json.models[i].sink_routes[layer];
      assert.equal(own, route.expert);
      assert.equal(cells[3], `${(100 * route.share_of_others).toFixed(1)} %`);
      assert.deepEqual(cells.slice(4), route.others_by_expert.map((share) => (100 * share).toFixed(0)));
      near(route.others_by_expert.reduce((a, b) => a + b), 1, "shares of the other tokens");
      const sinks = json.rows.filter((row) => row.layer === layer).slice(0, json.rows.length / json.models.length);
      const ofModel = sinks.slice(0, sinks.length / json.models.length);
      assert.ok(Math.abs(parseFloat(cells[1]) - 100 * (ofModel.reduce((sum, row) => sum + row.sink, 0) / ofModel.length)) < 0.051, "mean weight on the first token");
    });
  });
}

async function press(browser, key, times = 1) {
  const codes = { Tab: 9, Enter: 13, ArrowRight: 39, ArrowDown: 40, End: 35, Home: 36 };
  const event = { key, code: key, windowsVirtualKeyCode: codes[key], ...(key === "Enter" ? { text: "\r" } : {}) };
  for (let i = 0; i < times; i++) {
    await browser.send("Input.dispatchKeyEvent", { type: "keyDown", ...event });
    await browser.send("Input.dispatchKeyEvent", { type: "keyUp", ...event });
  }
}

// From the top of the page with real key presses: to a head, into it, to a token, to a cell.
async function checkKeyboard(browser, nHeads) {
  await browser.evaluate("{ const top = document.querySelector('h1'); top.tabIndex = -1; top.focus(); }");
  const tabTo = async (selector) => {
    for (let i = 0; i < 60; i++) {
      await press(browser, "Tab");
      if (await browser.evaluate(`document.activeElement.matches(${JSON.stringify(selector)})`)) {
        const outline = await browser.evaluate("getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth");
        assert.ok(/^(solid|auto)[1-9]/.test(outline), `the focus is seen on ${selector}: ${outline}`);
        return;
      }
    }
    assert.fail(`Tab reaches ${selector}`);
  };
  await tabTo(".thumbnail");
  assert.ok(await browser.evaluate("!document.querySelector('#model-view .tip').hidden"), "the tip is there for the keyboard, too");
  await press(browser, "ArrowDown");
  await press(browser, "ArrowRight", 3);
  await press(browser, "Enter");
  const chosen = await browser.evaluate("[...document.querySelectorAll('.head-panel select')].slice(0, 2).map((box) => box.value)");
  assert.deepEqual(chosen, ["1", "3"], "Enter opens the head");
  assert.equal(await browser.evaluate("document.querySelector('.head-name').textContent.startsWith('layer 1, head 3')"), true);
  await press(browser, "End");
  assert.equal(await browser.evaluate("document.querySelectorAll('.head-panel select')[1].value"), String(nHeads), "the last is the mean of heads");
  await tabTo(".query-side .token-row");
  await press(browser, "Home");
  await press(browser, "ArrowDown", 4);
  assert.equal(await browser.evaluate("document.activeElement.dataset.index"), "4");
  assert.equal(await browser.evaluate("document.querySelector('.head-panel').querySelectorAll('.weights li').length"), 5, "row 4 sees 5 tokens");
  await browser.evaluate("document.querySelector('[data-form=matrix]').click()");
  await tabTo(".matrix");
  await press(browser, "ArrowDown", 3);
  const words = await browser.evaluate("document.querySelector('.head-panel .read-out').textContent");
  assert.ok(/looks at .* with [\d.]+ % of its weight/.test(words), words);
  await browser.evaluate("document.querySelector('[data-form=lines]').click()");
}

async function checkHostileText(browser, json) {
  assert.equal(await browser.evaluate("document.querySelectorAll('img, b b').length"), 0);
  assert.equal(await browser.evaluate("document.querySelectorAll('script').length"), 2);
  assert.equal(await browser.evaluate("document.title"), kHostile);
  assert.deepEqual(await browser.evaluate("moescope.page.models[0].tokens"), json.models[0].tokens);
  const shown = await browser.evaluate("[...document.querySelectorAll('.head-panel .query-side bdi')].map((e) => e.textContent).join('')");
  assert.ok(shown.includes("</script><img␣src=x␣onerror=alert(1)>"), "markup is text");
  assert.ok(shown.includes("⟨202E⟩") && shown.includes("⟨2028⟩"), "what would turn the text round is written out");
  assert.ok(!/[\u202a-\u202e\u2066-\u2069]/.test(await browser.evaluate("document.querySelector('#head-view').textContent")));
}

async function checkKinds(browser, nHeads) {
  const counts = await browser.evaluate("[...document.querySelectorAll('.chip.kind .count')].map((e) => Number(e.textContent))");
  assert.equal(counts.reduce((a, b) => a + b), nHeads);
  const most = await browser.evaluate("[...document.querySelectorAll('.chip.kind')].sort((a, b) => b.querySelector('.count').textContent - a.querySelector('.count').textContent)[0].dataset.kind");
  await browser.evaluate(`document.querySelector('.chip.kind[data-kind="${most}"]').click()`);
  assert.ok(await browser.until(`Number(getComputedStyle(document.querySelector('.thumbnail[data-kind="${most}"]')).opacity) < 0.2`, 5), "a kind switched off is dimmed");
  await browser.evaluate(`document.querySelector('.chip.kind[data-kind="${most}"]').click()`);
  await choose(browser, "#model-view select", "entropy");
  const entropies = await browser.evaluate(`[...document.querySelectorAll("#model-view .side:first-child .thumbnail")]
    .map((e) => moescope.page.models[0].heads.find((h) => h.layer === Number(e.dataset.layer) && h.head === Number(e.dataset.head)).entropy)`);
  assert.deepEqual(entropies, [...entropies].sort((a, b) => b - a), "heads stand in the order asked for");
  await choose(browser, "#model-view select", "place");
}

async function checkQuiet(browser) {
  assert.deepEqual(browser.problems, [], "the console stays silent");
  const foreign = browser.requests.filter((url) => !url.startsWith("file://") && !url.startsWith("data:"));
  assert.deepEqual(foreign, [], "no requests");
}

// At a phone's width nothing but boxes of their own scroll sideways.
async function checkNarrow(browser) {
  await browser.open(pathToFileURL(page).href, { width: 400, height: 800, scheme: "dark" });
  assert.ok(await browser.until(kChartsDrawn));
  for (const form of ["matrix", "lines"]) {
    await browser.evaluate(`document.querySelector("[data-form=${form}]").click()`);
    assert.ok(await browser.evaluate("document.documentElement.scrollWidth <= 400"), `the page is at most 400 pixels wide, ${form}`);
  }
}

// A text that is too long for single tokens: blocks, said so, and rows still sum to one.
async function checkPooled(browser) {
  const file = join(folder, "long.txt");
  writeFileSync(file, "The river was quiet when the letter came. ".repeat(60));
  const json = answer("-m", model, "-f", file, "-o", page);
  await browser.open(pathToFileURL(page).href);
  assert.ok(await browser.until(kChartsDrawn));
  const { block, blocks, tokens } = await browser.evaluate("(({ block, n_blocks, tokens }) => ({ block, blocks: n_blocks, tokens: tokens.length }))(moescope.page.models[0])");
  assert.equal(tokens, json.models[0].tokens.length);
  assert.ok(tokens > 256 && block > 1 && blocks <= 128 && blocks === Math.ceil(tokens / block));
  const note = await browser.evaluate("document.querySelector('.pooled').textContent");
  assert.ok(note.includes(`${blocks} blocks of ${block}`), note);
  const rows = answer("-m", model, "-f", file, "--layer", 2, "--head", 1).models[0].attention;
  const held = await browser.evaluate("[...moescope.page.models[0].matrix(2, 1)].map((byte) => (byte / 255) ** 2)");
  let cell = 0;
  for (let query = 0; query < blocks; query++) {
    const queries = rows.slice(query * block, (query + 1) * block);
    for (let key = 0; key <= query; key++) {
      const sum = queries.reduce((all, { weights }) => all + weights.slice(key * block, (key + 1) * block).reduce((a, b) => a + b, 0), 0);
      nearWeight(held[cell++], sum / queries.length, `block ${key} at ${query}`);
    }
  }
  assert.ok(readFileSync(page).length < 6_000_000);
}

// A dense model beside a mixture of experts: other tokens, other depth, no routes.
async function checkDenseBesideMixture(browser) {
  if (!process.env.MOESCOPE_FIXTURES) return console.log("GPT-2 beside Mixtral: skipped: no fixtures");
  const gpt2 = join(process.env.MOESCOPE_FIXTURES, "models", "gpt2");
  const json = answer("-m", gpt2, "-m", model, "-p", kText, "-o", page, "--layer", 1, "--head", 2);
  await browser.open(pathToFileURL(page).href);
  assert.ok(await browser.until(kChartsDrawn));
  assert.equal((await dotsOf(browser, "sink")).length, json.rows.length);
  assert.equal(await browser.evaluate("document.querySelectorAll('#sink-routes table').length"), 1);
  const names = await browser.evaluate("[...document.querySelectorAll('.head-name b')].map((e) => e.textContent)");
  assert.deepEqual(names, ["layer 1, head 2", "layer 1, head 2"], "the head of --layer and --head is shown first");
  for (const i of [0, 1]) {
    assert.deepEqual(await browser.evaluate(`moescope.page.models[${i}].tokens`), json.models[i].tokens);
    const held = await browser.evaluate(`[...moescope.page.models[${i}].matrix(1, 2)].map((byte) => (byte / 255) ** 2)`);
    const weights = json.models[i].attention.flatMap((row) => row.weights);
    assert.equal(held.length, weights.length);
    weights.forEach((weight, cell) => nearWeight(held[cell], weight, `cell ${cell} of model ${i}`));
  }
}

async function main() {
  copyFileSync(model, other);
  const json = answer("-m", model, "-m", other, "-p", kText, "-o", page, "--title", kHostile);
  assert.equal(readFileSync(page).length, json.bytes);
  const nHeads = Math.max(...json.rows.map((row) => row.head)) + 1;
  const browser = new Browser(browserPath);
  try {
    await browser.open(pathToFileURL(page).href);
    assert.ok(await browser.until(kChartsDrawn), "charts draw within a minute");
    await checkQuiet(browser);
    const names = await browser.evaluate("moescope.page.models.map((model) => model.name)");
    assert.deepEqual(names, [model.split("/").at(-1), "<b>other.gguf"]);
    for (const figure of ["previous", "self", "entropy", "distance", "sink"]) await checkDots(browser, figure, json, names);
    const rows = await checkHead(browser, 3, 4);
    await checkHead(browser, 0, 7);
    await checkMean(browser, 5, nHeads);
    await checkThumbnail(browser, rows, 3, 4);
    await checkSinkRoutes(browser, json);
    await checkHostileText(browser, json);
    await checkKinds(browser, json.rows.length);
    await checkKeyboard(browser, nHeads);
    await checkNarrow(browser);
    await checkPooled(browser);
    await checkDenseBesideMixture(browser);
    await checkQuiet(browser);
    console.log(`${json.rows.length} heads of 2 models, ${json.bytes} bytes: all figures and weights equal --json`);
  } finally {
    await browser.close();
  }
}

try {
  await main();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
