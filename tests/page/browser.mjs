// A headless Chromium spoken to through its debugging pipe: no port, no package, only Node. Used by
// the page test and by tools/screenshot.mjs.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

const kNames = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

// The browser's path: $CHROMIUM, or the first of the usual names on the PATH, or null.
export function findBrowser() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    for (const name of kNames) {
      if (folder && existsSync(join(folder, name))) return join(folder, name);
    }
  }
  return null;
}

const kFlags = [
  "--headless", "--no-sandbox",  // root, and containers without user namespaces, have no sandbox to offer
  "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
];

export class Browser {
  #child;
  #profile;
  #next = 1;
  #waiting = new Map();
  #buffer = "";
  #session;
  #dead = null;
  // What the page said that it should not have: console errors, exceptions, refused or failed requests.
  problems = [];
  // Every address asked for.
  requests = [];

  constructor(path) {
    this.#profile = mkdtempSync(join(tmpdir(), "moescope-browser-"));
    this.#child = spawn(path, [...kFlags, `--user-data-dir=${this.#profile}`], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    const fail = (why) => {
      this.#dead = new Error(why);
      for (const { reject } of this.#waiting.values()) reject(this.#dead);
      this.#waiting.clear();
    };
    this.#child.on("error", (error) => fail(`cannot start ${path}: ${error.message}`));
    this.#child.on("exit", () => fail("the browser ended"));
    this.#child.stdio[3].on("error", () => {});
    this.#child.stdio[4].setEncoding("utf8").on("data", (text) => this.#receive(text));
  }

  #receive(text) {
    this.#buffer += text;
    for (let end = this.#buffer.indexOf("\0"); end >= 0; end = this.#buffer.indexOf("\0")) {
      const message = JSON.parse(this.#buffer.slice(0, end));
      this.#buffer = this.#buffer.slice(end + 1);
      if (message.id) this.#answer(message);
      else this.#observe(message);
    }
  }

  #answer({ id, result, error }) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) waiting?.reject(new Error(error.message));
    else waiting?.resolve(result);
  }

  #observe({ method, params }) {
    if (method === "Runtime.exceptionThrown") {
      const details = params.exceptionDetails;
      this.problems.push(`exception: ${details.exception?.description ?? details.text}`);
    } else if (method === "Runtime.consoleAPICalled" && ["error", "warning", "assert"].includes(params.type)) {
      this.problems.push(`console.${params.type}: ${params.args.map((a) => a.value ?? a.description).join(" ")}`);
    } else if (method === "Log.entryAdded" && ["error", "warning"].includes(params.entry.level)) {
      this.problems.push(`log: ${params.entry.text}`);
    } else if (method === "Network.requestWillBeSent") {
      this.requests.push(params.request.url);
    }
  }

  send(method, params = {}) {
    if (this.#dead) return Promise.reject(this.#dead);
    const id = this.#next++;
    this.#child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId: this.#session })}\0`);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  // Opens `url` in a fresh tab of the given size; `scheme` is "light" or "dark".
  async open(url, { width = 1280, height = 900, scale = 1, scheme = "light" } = {}) {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    this.#session = sessionId;
    for (const domain of ["Runtime", "Log", "Network", "Page"]) await this.send(`${domain}.enable`);
    await this.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: scale, mobile: false });
    await this.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
    await this.send("Page.navigate", { url });
  }

  // The value of a JavaScript expression in the page (promises awaited).
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  // Waits until the expression is true; false after `seconds`.
  async until(expression, seconds = 60) {
    const end = Date.now() + 1000 * seconds;
    while (Date.now() < end) {
      if (await this.evaluate(`Boolean(${expression})`)) return true;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return false;
  }

  async close() {
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    await this.send("Browser.close").catch(() => {});
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5000);
    await gone;
    clearTimeout(timer);
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

// Charts are drawn once all that were asked for stand, and at least one was.
export const kChartsDrawn = "globalThis.moescope?.settled() && Object.keys(moescope.charts()).length > 0";
