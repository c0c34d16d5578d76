// Bundles the page into one template, OUT/page.html, whose places {{title}} and {{data}} the program
// fills in. The one script is allowed by its hash, so nothing else on the page can run.
//   node build.mjs OUT
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2];
if (!out) throw new Error("usage: node build.mjs OUT");

async function bundle(entry) {
  const result = await build({
    entryPoints: [join(here, "src", entry)], bundle: true, minify: true, write: false, format: "iife",
    target: "es2022", charset: "utf8", legalComments: "none", logLevel: "warning",
  });
  return result.outputFiles[0].text.trimEnd();
}

const script = await bundle("main.js");
const style = await bundle("style.css");
if (/<\/script|<!--/i.test(script) || /<\/style/i.test(style)) throw new Error("the bundle would end its own tag");
const hash = `sha256-${createHash("sha256").update(script, "utf8").digest("base64")}`;

// A function as the replacement: the bundle holds "$&" and the like.
const fill = (text, place, value) => text.replace(`{{${place}}}`, () => value);
let page = readFileSync(join(here, "src", "page.html"), "utf8");
page = fill(page, "script hash", hash);
page = fill(page, "style", style);
page = fill(page, "script", script);
mkdirSync(out, { recursive: true });
writeFileSync(join(out, "page.html"), page);
