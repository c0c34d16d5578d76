// The figures of the page that are tables with charts, as in figures/catalogue.js. Their charts are
// templates in web/charts.
const kHeadings = { mode: "Mode", dataset: "Data set" };

export const kAblationFigures = [
  {
    figure: "ablation", id: "largest", charts: ["ablation-largest"], headings: kHeadings, numbers: "rows",
    title: "What the loss gains",
    lead: "Nats a predicted token that each intervention adds; the 24 largest, with 95 % intervals.",
    howToRead: "The longer a bar, the more the model needs what was taken out; bars whose intervals overlap widely are hardly told apart, "
      + "and the longest of many is a little too long by luck: measure it again on other text.",
  },
  {
    figure: "ablation", id: "map", charts: ["ablation"], headings: kHeadings, hasInterval: () => false,
    isThere: (rows) => rows.some((row) => row.expert !== null),  // modes of whole layers have none
    title: "Where it matters: layers and experts",
    lead: "The same effects laid out by layer and expert.",
    howToRead: "Orange: the loss rises without it; blue: it falls; a dot marks a cell whose 95 % interval leaves zero out, "
      + "and of cells without any effect one in twenty has one by chance.",
  },
  {
    figure: "ablation", id: "by-dataset", charts: ["ablation-datasets"], headings: kHeadings, hasInterval: () => false,
    title: "Who needs it: effects by data set",
    lead: "The interventions with the largest effects, in each data set by itself.",
    howToRead: "A row of one colour is an expert that all text needs alike; a single strong cell is one that works for that kind of text.",
  },
];

export const kCorrelationsFigure = {
  figure: "audit", id: "correlations", charts: ["audit-all", "audit-within"], numbers: "correlations",
  title: "Which criterion tells what removing an expert costs",
  lead: "Spearman's rank correlation of each criterion with the measured effect, with 95 % intervals over units.",
  howToRead: "At 1 a criterion puts experts in the order of what they cost, at 0 it says nothing; over all cells layers dominate, "
    + "within layers only the experts of one layer are compared.",
};
