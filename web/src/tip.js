// The tip beside what is pointed at or has the focus: one for an area whose elements match a selector.
import { h, replace } from "./dom.js";

// Shows `content(element)` for the element of `area` that is pointed at or focused; onShow and onHide
// mark it. Returns the tip, to stand somewhere on the page.
export function watchTips(area, selector, content, { onShow = () => {}, onHide = () => {} } = {}) {
  const tip = h("div", { class: "tip", role: "status", hidden: true });
  let shown = null;
  const hide = () => {
    if (shown) onHide(shown);
    shown = null;
    tip.hidden = true;
  };
  const show = (element, x, y) => {
    if (element !== shown) {
      hide();
      shown = element;
      replace(tip, content(element));
      onShow(element);
    }
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - box.width - 8))}px`;
    tip.style.top = `${y + 18 + box.height > innerHeight ? y - box.height - 12 : y + 18}px`;
  };
  area.addEventListener("pointermove", (event) => {
    const element = event.target.closest(selector);
    if (element) show(element, event.clientX, event.clientY);
    else hide();
  });
  area.addEventListener("pointerleave", hide);
  area.addEventListener("focusin", (event) => {
    const element = event.target.closest(selector);
    if (!element?.matches(":focus-visible")) return;
    const box = element.getBoundingClientRect();
    show(element, box.right - 14, box.bottom - 12);
  });
  area.addEventListener("focusout", hide);
  return tip;
}
