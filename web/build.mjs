// Bundles each page into one template, OUT/NAME.html, whose places {{title}} and {{data}} the program
// fills in, and the chart templates into OUT/charts.json. The one script is allowed by its hash, so
// nothing else on the page can run.
//   node build.mjs OUT
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

import { datasetColours } from "./src/palette.js";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2];
if (!out) throw new Error("usage: node build.mjs OUT");

// Licences of the packages that went into the bundle, each text once: their terms ask that whoever gets
// the page gets these too.
function licencesOf(metafile) {
  const names = new Set();
  for (const input of Object.keys(metafile.inputs)) {
    const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (found) names.add(found[1]);
  }
  const packagesOf = new Map();  // text -> packages
  for (const name of [...names].sort()) {
    const folder = join(here, "node_modules", name);
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file ? readFileSync(join(folder, file), "utf8").trim() : `Licence: ${license}`;
    packagesOf.set(text, [...(packagesOf.get(text) ?? []), `${name} ${version}`]);
  }
  return [...packagesOf].map(([text, packages]) => `${packages.join(", ")}\n\n${text}`).join(`\n\n${"-".repeat(60)}\n\n`);
}

async function bundle(entry) {
  const result = await build({
    entryPoints: [join(here, "src", entry)], bundle: true, minify: true, write: false, format: "iife",
    target: "es2022", charset: "utf8", legalComments: "none", logLevel: "warning", metafile: true,
  });
  return { text: result.outputFiles[0].text.trimEnd(), metafile: result.metafile };
}

// A function as the replacement: the bundle holds "$&" and the like.
const fill = (text, place, value) => text.replace(`{{${place}}}`, () => value);

async function makePage({ name, entry, styles }) {
  const { text: script, metafile } = await bundle(entry);
  const { text: style } = await bundle(styles);
  if (/<\/script|<!--/i.test(script) || /<\/style/i.test(style)) throw new Error("the bundle would end its own tag");
  let page = readFileSync(join(here, "src", "page.html"), "utf8");
  page = fill(page, "script hash", `sha256-${createHash("sha256").update(script, "utf8").digest("base64")}`);
  page = fill(page, "style", style);
  page = fill(page, "licences", licencesOf(metafile).replace(/&/g, "&amp;").replace(/</g, "&lt;"));
  page = fill(page, "script", script);
  writeFileSync(join(out, `${name}.html`), page);
}

mkdirSync(out, { recursive: true });
await makePage({ name: "report", entry: "main.js", styles: "style.css" });
await makePage({ name: "attention", entry: "attention/main.js", styles: "attention/style.css" });
await makePage({ name: "experts", entry: "experts/main.js", styles: "experts/style.css" });

const jsonFiles = (folder) => Object.fromEntries(
  readdirSync(folder).filter((file) => file.endsWith(".json")).map((file) => file.slice(0, -".json".length)).sort()
    .map((name) => [name, JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"))]));
const charts = {
  dataset_colours: datasetColours,
  shapes: jsonFiles(join(here, "charts", "shapes")),
  charts: jsonFiles(join(here, "charts")),
};
writeFileSync(join(out, "charts.json"), JSON.stringify(charts));
