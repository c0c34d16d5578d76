// A picture of a report page:
//   node tools/screenshot.mjs page.html docs/images/report.png [--width 1280] [--height 1600] [--full]
//        [--top '#figure-8'] [--scheme dark] [--scale 1] [--act 'document.querySelector("button").click()']
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

import { Browser, findBrowser, kChartsDrawn } from "../tests/page/browser.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    width: { type: "string", default: "1280" }, height: { type: "string", default: "1600" }, full: { type: "boolean" },
    top: { type: "string" }, scheme: { type: "string", default: "light" }, scale: { type: "string", default: "1" },
    act: { type: "string" },  // done on the page before the picture
  },
});
const [page, picture] = positionals;
const path = findBrowser();
if (!page || !picture) throw new Error("usage: node tools/screenshot.mjs page.html picture.png");
if (!path) throw new Error("no Chromium found; set CHROMIUM to its path");

const browser = new Browser(path);
try {
  const width = Number(values.width);
  await browser.open(pathToFileURL(resolve(page)).href, { width, height: Number(values.height), scale: Number(values.scale), scheme: values.scheme });
  if (!await browser.until(kChartsDrawn)) throw new Error("the charts did not draw");
  if (values.act) await browser.evaluate(values.act);
  await new Promise((r) => setTimeout(r, 300));
  const y = values.top ? await browser.evaluate(`document.querySelector(${JSON.stringify(values.top)}).getBoundingClientRect().top + scrollY - 24`) : 0;
  const whole = await browser.evaluate("document.documentElement.scrollHeight");
  const height = values.full ? whole - y : Math.min(Number(values.height), whole - y);
  const { data } = await browser.send("Page.captureScreenshot", { format: "png", captureBeyondViewport: true, clip: { x: 0, y, width, height, scale: 1 } });
  writeFileSync(picture, Buffer.from(data, "base64"));
  for (const problem of browser.problems) console.error(problem);
} finally {
  await browser.close();
}
