// Colours of weights: one sequential ramp whose lightness only ever goes one way, from the paper's
// colour on, for light and for dark. Bytes of weights index it, so colour goes with the square root.
import { h } from "../dom.js";
import { triangleCells } from "./page_data.js";

const kLight = ["#f3f3ee", "#cfe0ee", "#8dbbdc", "#4a8ec2", "#1b5f9f", "#0b3768", "#061b3b"];
const kDark = ["#1f2329", "#1b3a5c", "#20588f", "#2f7fbf", "#67aee0", "#b0d9f3", "#f4fcff"];

const dark = matchMedia("(prefers-color-scheme: dark)");
const channels = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

function tableOf(stops) {
  const colours = stops.map(channels);
  return Array.from({ length: 256 }, (_, byte) => {
    const at = (byte / 255) * (colours.length - 1);
    const below = Math.min(Math.floor(at), colours.length - 2);
    return colours[below].map((low, i) => Math.round(low + (at - below) * (colours[below + 1][i] - low)));
  });
}
const kTables = { light: tableOf(kLight), dark: tableOf(kDark) };
const table = () => kTables[dark.matches ? "dark" : "light"];

export const rampColour = (byte) => `rgb(${table()[byte].join(" ")})`;
// Text that is read on that colour.
export const inkOn = (byte) => (byte > 110 === dark.matches ? "#0b1420" : "#fdfdfb");

// Calls `redraw` whenever light turns to dark or back, while `element` is on the page.
export function redrawWithScheme(element, redraw) {
  const change = () => { if (element.isConnected) redraw(); else dark.removeEventListener("change", change); };
  dark.addEventListener("change", change);
}

// A table's colours as the pixels of an image, opaque, in the byte order of this machine.
const pixelsOf = (colours) => new Uint32Array(Uint8Array.from(colours.flatMap((colour) => [...colour, 255])).buffer);

// Draws the lower triangle of n rows, a pixel a cell; what a row cannot see stays transparent.
export function drawTriangle(canvas, bytes, n) {
  if (bytes.length !== triangleCells(n)) throw new Error(`${bytes.length} bytes for ${n} rows`);
  canvas.width = canvas.height = n;
  const image = new ImageData(n, n);
  const pixels = new Uint32Array(image.data.buffer);
  const colours = pixelsOf(table());
  for (let query = 0, cell = 0; query < n; query++) {
    for (let key = 0; key <= query; key++, cell++) pixels[query * n + key] = colours[bytes[cell]];
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// The ramp with the weights written under it.
export function rampLegend() {
  const marks = [0, 0.01, 0.1, 0.25, 0.5, 1];
  const bar = h("span", { class: "ramp-bar" });
  const draw = () => {
    bar.style.background = `linear-gradient(to right, ${Array.from({ length: 18 }, (_, i) => rampColour(15 * i)).join(", ")})`;
  };
  draw();
  redrawWithScheme(bar, draw);
  return h("div", { class: "ramp", role: "img", "aria-label": "Colours of weights, from 0 to 100 percent" }, h("span", { class: "label" }, "Weight"),
    h("span", { class: "ramp-scale" }, bar,
      h("span", { class: "ramp-marks" }, marks.map((weight) =>
        h("span", { style: `left:${100 * Math.sqrt(weight)}%` }, `${100 * weight}${weight === 1 ? " %" : ""}`)))));
}
