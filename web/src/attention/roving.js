// One tab stop for many elements: arrow keys move among them, as the ARIA practices describe.

// `items` in order; `columns` of the grid they form (0: a list, up and down). Calls onFocus(index).
export function roving(container, items, { columns = 0, onFocus = () => {}, onEscape = () => {} } = {}) {
  items.forEach((item, i) => { item.tabIndex = i === 0 ? 0 : -1; });
  const indexOf = (target) => items.findIndex((item) => item.contains(target));
  const steps = columns > 0
    ? { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }
    : { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 };
  container.addEventListener("keydown", (event) => {
    const at = indexOf(event.target);
    if (at < 0) return;
    if (event.key === "Escape") return onEscape();
    const to = event.key === "Home" ? 0 : event.key === "End" ? items.length - 1 : at + (steps[event.key] ?? NaN);
    if (!(to >= 0 && to < items.length)) return;
    event.preventDefault();
    items[to].focus();
  });
  container.addEventListener("focusin", (event) => {
    const at = indexOf(event.target);
    if (at < 0) return;
    for (const item of items) item.tabIndex = -1;
    items[at].tabIndex = 0;
    onFocus(at);
  });
}
