// Bars of many data sets on a narrow screen: dots instead, where bars would be hairlines.
const kNarrowestBar = 2.5;

export function barsOrDots(spec, width, rows) {
  const bars = new Set(rows.map((row) => row.expert)).size * (new Set(rows.map((row) => row.dataset)).size + 1);
  if ((width - 70) / bars >= kNarrowestBar) return spec;
  const [marks, ...others] = spec.layer;
  const { xOffset, ...encoding } = marks.encoding;
  const dots = {
    ...marks, mark: { type: "point", filled: true, size: 22, opacity: 0.8, tooltip: true },
    encoding: { ...encoding, x: { ...encoding.x, scale: { padding: 0.6 } } },
  };
  return { ...spec, layer: [dots, ...others] };
}
