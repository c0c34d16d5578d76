// Colours. Data sets: the seven of Okabe and Ito that show on white and on black, then more of middling
// lightness; beyond about eight no palette is safe for everybody, so order, tips and the legend's
// switches carry the identity too. Experts: pale backgrounds under near-black text.

export const datasetColours = [
  "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c8c8c", "#7b61c9",
  "#a6761d", "#7fa83b", "#b2476b", "#2ba7b8", "#f29bb4", "#b8a01f", "#5a71a8", "#7cc9a0",
];

export const datasetColour = (index) => datasetColours[index % datasetColours.length];

// `palette` comes with the data, the same as on a terminal; beyond its end colours repeat and the
// number stands beside them.
export const expertColour = (expert, palette) => (expert < 0 ? "transparent" : palette[expert % palette.length]);
