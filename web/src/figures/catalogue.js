// The figures that are tables with charts, in the order of the page: what each asks, and how to read
// it. Their charts are templates in web/charts.
import { count, percent } from "../format.js";
import { barsOrDots } from "./narrow_bars.js";
import { repetitionTable } from "./repetition_table.js";

const kNullsOfRepetition = [
  ["●", "observed", "with its 95 % interval"],
  ["▽", "marginal", "two independent draws from the data set's own use of experts"],
  ["◇", "shuffle", "the same decisions in random order within each sequence"],
  ["✚", "token identity", "the decision another document made for the same token, on the pairs where there is one"],
  ["□", "uniform", "every expert equally likely"],
];

const observed = ["●", "observed", "with its 95 % interval over units"];

export const kSharesFigure = {
  figure: "7", id: "figure-7",
  title: "Which experts each kind of text uses",
  lead: "The share of each data set's assignments that goes to each expert (Figures 7 and 9 of the Mixtral paper).",
  headings: { choice: "Choice" }, values: { either: "any of the chosen", first: "first choice", second: "second choice" },
  isWide: (page) => page.run.n_experts * page.datasets.length > 40, adapt: barsOrDots,
  howToRead: "The bars of one colour in one layer add up to 100 %; the dashed line, 1/E, is where all would stand if text made no "
    + "difference and every expert were used evenly. Flat bars say little about what experts learned when the model was trained "
    + "with a load-balancing loss.",
};

export const kRepetitionFigures = [
  {
    figure: "table5", id: "table-5",
    title: "Do consecutive tokens keep their expert?",
    lead: "The share of neighbouring tokens that are sent to the same expert (Table 5 of the Mixtral paper), beside what chance gives.",
    keys: kNullsOfRepetition, after: repetitionTable,
    howToRead: "A dot right of a mark is repetition beyond what that null explains: beyond the marginal null it is not mere popularity of an "
      + "expert, beyond token identity it is more than the same words being routed the same way.",
  },
  {
    figure: "10", id: "figure-10",
    title: "Repetition through the depth of the model",
    lead: "The same two shares at every layer (Figure 10 of the Mixtral paper).",
    howToRead: "Height above the grey band (the range of the marginal null over the data sets) is locality that popularity does not "
      + "explain; the dashed line is the uniform null.",
  },
  {
    figure: "lags", id: "lags",
    title: "How far repetition reaches",
    lead: "The share of pairs of tokens that share their first choice, over the distance of the two.",
    howToRead: "What stays high at 64 tokens is the text's topic or the expert's popularity; what falls within a few tokens is local.",
  },
];

export const kStructureFigures = [
  {
    figure: "domains", id: "domains",
    title: "How differently kinds of text are routed",
    lead: "Jensen-Shannon distance of a data set's shares of experts from those of all others, beside two distances without any difference in kind.",
    hasInterval: (row) => row.other === null,
    keys: [observed, ["▽", "halves", "two halves of the data set's own units"], ["◇", "shuffled, mean", "data set labels dealt over units"],
      ["✚", "shuffled, 95 %", "beyond it fewer than one in twenty shuffles come"]],
    howToRead: "Distances are never below zero, so noise alone makes one: only what lies right of the marks is a difference. The matrix below "
      + "compares data sets in pairs.",
  },
  {
    figure: "affinity", id: "affinity",
    title: "Which experts code prefers",
    lead: "Odds that a token is sent to an expert, in code against other text; then the same between equal tokens only.",
    note: (about) => `Code: ${about.group_datasets} (${count(about.group_units)} units) against ${count(about.rest_units)} units of `
      + `${about.rest_datasets}. Equal tokens cover ${percent(about.group_coverage, 0)} of the code and ${percent(about.rest_coverage, 0)} of the rest.`,
    howToRead: "Blue: more often in code; orange: less. A dot marks a cell beyond chance, all cells searched together. An expert of code, "
      + "and not of tokens that code has more of, is blue in both.",
  },
  {
    figure: "explained", id: "explained",
    title: "Token or topic?",
    lead: "How much of the first choice follows from the token, the previous token, the position, and the kind of text.",
    keys: [observed, ["▽", "shuffled", "the same predictor, permuted"]],
    howToRead: "Measured on units that the estimates have not seen. “Alone” counts what a predictor shares with others; “beyond the others” "
      + "only what nothing else tells.",
  },
  {
    figure: "vocabulary", id: "vocabulary",
    title: "How far the token decides its experts",
    lead: "Of a token's occurrences, the share that include its most frequent expert: mean over tokens seen at least 10 times.",
    headings: { target: "Token" }, values: { input: "the input token", next: "the next token", predicted: "the predicted token" },
    keys: [["●", "observed", "every token id counts once; bars: held-out units"], ["▽", "independent draws", "the same counts, routed by popularity"],
      ["◇", "token-weighted", "every occurrence counts once"], ["✚", "held out", "the expert chosen on other units"]],
    howToRead: "With few occurrences the most frequent expert has a large share by luck alone: compare with the triangle, not with 1/E.",
  },
  {
    figure: "words", id: "words",
    title: "Do the pieces of a word stay together?",
    lead: "The share of words of several tokens whose pieces all have the same first choice.",
    keys: [observed, ["▽", "pieces shuffled", "among the words of the data set"], ["◇", "same places", "first pieces with first pieces only"],
      ["✚", "token identity", "each piece as the same token elsewhere"]],
    howToRead: "Right of the marks: pieces of one word keep together more than pieces in general.",
  },
  {
    figure: "indentation", id: "indentation",
    title: "Does indentation have an expert?",
    lead: "The share of indentation tokens that goes to the expert which other units chose for it (Figure 8 of the Mixtral paper).",
    keys: [observed, ["▽", "other tokens", "the same expert's share of all tokens"], ["◇", "even draws", "what the most frequent expert gets by luck"],
      ["✚", "one token's share", "near 100 %: indentation is one token here, and this is its routing"]],
    howToRead: "A share far right of the first two marks is an expert for indentation, or for the one token that makes it.",
  },
  {
    figure: "coactivation", id: "coactivation",
    title: "Which experts are chosen together",
    lead: "Of the tokens that choose one expert, how many also choose the other, against what popularity alone gives.",
    headings: { dataset: "Data set" },
    howToRead: "Blue: more often than independent choices; orange: less. A dot: the interval leaves the independent value out.",
  },
  {
    figure: "crosslayer", id: "crosslayer",
    title: "Do layers know of each other?",
    lead: "Mutual information of the first choices of two layers, in bits, and what of it is left when the token is known.",
    keys: [["●", "a data set", "corrected for the size of the sample"], ["–", "shifted", "one layer moved against the other, the largest of the data sets"]],
    howToRead: "At most log2 E bits. What vanishes when the token is known was only both layers knowing the token.",
  },
  {
    figure: "paths", id: "paths",
    title: "Paths through the layers",
    lead: "How tokens move from expert to expert by first choice.",
    note: (about) => `${count(about.distinct_paths)} of ${count(about.possible_paths)} paths are used. Layers depend on each other by `
      + `${about.dependence_bits.toFixed(3)} bits; shifted against each other by ${about.dependence_null_mean?.toFixed(3) ?? "–"}.`,
    howToRead: "A band is as thick as its share of the tokens and has the colour of the expert it leaves. The table has the most frequent "
      + "paths beside what independent layers, or only neighbours that depend, would give.",
  },
];

export const kPerplexityFigure = {
  figure: "perplexity", id: "perplexity",
  title: "How well the model predicts each data set",
  lead: "Perplexity per token over each data set, every token but the first of a chunk scored once in its own chunk.",
  howToRead: "Further left is better predicted; bars are 95 % intervals over units. Compare models by bits per byte (hover): "
    + "perplexity depends on the tokenizer.",
};
