// Both directions of the question: which tokens go to an expert, and which experts see a token.
import { h, replace } from "../dom.js";
import { figureFrame, layerPicker, liveCommand, selectBox } from "../figure.js";
import { count, percent, visibleToken } from "../format.js";
import { datasetColour } from "../palette.js";

const tokenText = (page, id) => visibleToken(page.token_texts[id] ?? `token ${id}`);

const kOrders = [["excess", "most above expectation"], ["lift", "highest lift"]];

// The share of each data set's assignments that goes to one expert, against an even spread.
function expertByDataset(page, layer, expert) {
  const rows = page.shares.filter((row) => row.layer === layer && row.expert === expert && row.choice === "either");
  const most = Math.max(2 / page.run.n_experts, ...rows.map((row) => row.share));
  const at = (share) => `${((100 * share) / most).toFixed(1)}%`;
  return h("div", { class: "expert-datasets" }, h("h3", {}, "Share of each data set's assignments"),
    h("table", { class: "numbers tokens" }, h("tbody", {}, rows.map((row) => h("tr", {},
      h("th", { scope: "row" }, row.dataset), h("td", {}, percent(row.share)),
      h("td", { class: "bar wide" }, h("div", { class: "track" },
        h("span", { style: `width:${at(row.share)};background:${datasetColour(page.datasets.indexOf(row.dataset))}` }),
        h("i", { style: `left:${at(1 / page.run.n_experts)}` }))))))),
    h("p", { class: "note" }, "Dashed: 1/E, an even spread."));
}

function bar(fraction) {
  return h("td", { class: "bar" }, h("span", { style: `width:${(100 * Math.min(1, fraction)).toFixed(1)}%` }));
}

export function expertTokensFigure(page) {
  const view = page.expert_tokens;
  if (!view?.excess.some((experts) => experts.some((tokens) => tokens.length))) return null;
  let layer = view.layers[Math.floor(view.layers.length / 2)];
  let expert = 0;
  let order = "excess";
  const body = h("div", { class: "expert-card" });
  const [command, setCommand] = liveCommand(page.commands.expert_tokens);
  const chips = Array.from({ length: page.run.n_experts }, (_, e) =>
    h("button", { type: "button", class: "chip layer", onclick: () => { expert = e; draw(); } }, e));
  function draw() {
    chips.forEach((chip, e) => chip.setAttribute("aria-pressed", String(e === expert)));
    setCommand({ layer, expert, order });
    const rows = view[order][view.layers.indexOf(layer)][expert];
    replace(body, h("div", {}, h("h3", {}, "Tokens"), h("table", { class: "numbers tokens", "data-layer": layer, "data-expert": expert },
      h("thead", {}, h("tr", {}, ["token", "lift", "times sent here", "of its occurrences", ""].map((t) => h("th", {}, t)))),
      h("tbody", {}, rows.map(([id, sent, share, lift]) => h("tr", {},
        h("td", {}, h("code", { class: "piece" }, tokenText(page, id))), h("td", {}, lift.toFixed(1)),
        h("td", {}, count(sent)), h("td", {}, percent(share, 0)), bar(share))))),
      rows.length ? null : h("p", { class: "note" }, "No token is sent here often enough to say.")),
      expertByDataset(page, layer, expert));
  }
  draw();
  return figureFrame({
    id: "expert-tokens",
    title: "What an expert sees",
    lead: "The tokens most typical of one expert, and how much of each data set it takes.",
    controls: [
      layerPicker({ layers: view.layers, chosen: [layer], several: false, label: "Layer", onChange: ([next]) => { layer = next; draw(); } }),
      h("div", { class: "picker", role: "group", "aria-label": "Expert" }, h("span", { class: "label" }, "Expert"), chips),
      selectBox({ label: "First", options: kOrders, value: order, onChange: (next) => { order = next; draw(); } }),
    ],
    body,
    howToRead: `Lift is how many times more often the token is sent here than a token picked at random (only tokens seen at least ${view.min_count} times count); above expectation first come the tokens that fill the expert most beyond that.`,
    command,
  });
}

function heatTable(page, view, entry) {
  const [, seen, shares] = entry;
  const E = page.run.n_experts;
  const even = page.run.experts_per_token / E;
  return [
    h("p", { class: "note" }, `Seen ${count(seen)} times. Share of its occurrences in which each expert is among the chosen, in percent.`),
    h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Experts by layer" }, h("table", { class: "heat" },
      h("thead", {}, h("tr", {}, h("th", {}, "layer"), Array.from({ length: E }, (_, e) => h("th", {}, e)))),
      h("tbody", {}, view.layers.map((layer, i) => h("tr", {}, h("th", { scope: "row" }, layer),
        Array.from({ length: E }, (_, e) => {
          const share = shares[i * E + e] / 100;
          return h("td", {
            style: `--heat:${Math.min(1, share).toFixed(3)}`, class: share > 0.55 ? "strong" : null,
            title: `layer ${layer}, expert ${e}: ${percent(share, 0)} (${percent(even, 0)} if even)`,
          }, Math.round(100 * share));
        })))))),
  ];
}

// Text -> entry. Different tokens may look alike (bytes of a character): then the id tells them apart.
function namedTokens(page, entries) {
  const names = new Map();
  for (const entry of entries) {
    const text = tokenText(page, entry[0]);
    names.set(names.has(text) ? `${text} #${entry[0]}` : text, entry);
  }
  return names;
}

// Tokens worth a first look: words, of the frequent ones, whose experts are the most decided over the
// layers, and the line end, which often has an expert of its own.
function suggestTokens(page, view, names) {
  const E = page.run.n_experts;
  const decided = (shares) => view.layers.reduce((sum, _, i) => sum + Math.max(...shares.slice(i * E, (i + 1) * E)), 0);
  const words = view.tokens.slice(0, 600).map(([, , shares], i) => ({ name: names[i], score: decided(shares), i }))
    .filter(({ name }) => /^␣?\p{L}{3,}$/u.test(name))
    .sort((a, b) => b.score - a.score || a.i - b.i).slice(0, 9).map((t) => t.name);
  const others = names.filter((name) => name === "↵" || name === "␣the").slice(0, 2);
  const chosen = [...new Set([...words, ...others])];
  return chosen.length ? chosen : names.slice(0, 10);
}

export function tokenExpertsFigure(page) {
  const view = page.token_experts;
  if (!view || view.tokens.length === 0) return null;
  const names = namedTokens(page, view.tokens);
  const [command, setCommand] = liveCommand(page.commands.token_experts);
  const result = h("div");
  const input = h("input", { type: "search", list: "known-tokens", spellcheck: "false", autocomplete: "off", placeholder: "type a token" });
  const show = (name) => {
    const trimmed = name.trim().replace(/ /g, "␣");
    const entry = names.get(trimmed) ?? names.get(`␣${trimmed}`);
    if (!entry) {
      const close = [...names.keys()].filter((n) => n.toLowerCase().includes(trimmed.toLowerCase())).slice(0, 12);
      replace(result, h("p", { class: "note" }, close.length ? ["Not among the tokens kept on this page. Close: ", buttons(close)] : "Not among the tokens kept on this page."));
      return;
    }
    setCommand({ token: `#${entry[0]}` });
    replace(result, h("p", {}, h("code", { class: "piece big" }, tokenText(page, entry[0]))), heatTable(page, view, entry));
  };
  const buttons = (list) => list.map((name) =>
    h("button", { type: "button", class: "chip token-chip", onclick: () => { input.value = name; show(name); } }, h("code", {}, name)));
  input.addEventListener("input", () => { if (input.value) show(input.value); });
  const suggestions = suggestTokens(page, view, [...names.keys()]);
  input.value = suggestions[0];
  show(suggestions[0]);
  return figureFrame({
    id: "token-experts",
    title: "Which experts see a token",
    lead: `The ${count(view.tokens.length)} most frequent tokens of the run, at every layer.`,
    controls: [
      h("label", { class: "select" }, h("span", { class: "label" }, "Token"), input),
      h("datalist", { id: "known-tokens" }, [...names.keys()].map((name) => h("option", { value: name }))),
      h("div", { class: "legend" }, buttons(suggestions)),
    ],
    body: result,
    howToRead: `A row is a layer; a row adds up to K x 100 % = ${100 * page.run.experts_per_token} %. Dark cells in a row mean the token alone nearly decides the expert there.`,
    command,
  });
}
