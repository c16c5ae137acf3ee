"""What a page is asked in the browser: can all be read, has all a name, is nothing too wide."""

from typing import Any

# Of each element with text of its own: the contrast with what lies under it (WCAG 2.2).
CONTRASTS = """() => {
  const parse = (text) => {
    const numbers = text.match(/[\\d.]+/g).map(Number);
    const unit = text.startsWith("color(") ? 1 : 255;
    return [...numbers.slice(0, 3).map((n) => n / unit), numbers[3] ?? 1];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [1, 1, 1]);
  };
  const luminance = (c) => {
    const [r, g, b] = c.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !e.getClientRects().length || e.closest("script, style, title")) continue;
    const style = getComputedStyle(e), svg = e instanceof SVGElement;
    if (style.visibility === "hidden" || e.disabled) continue;
    const below = ground(svg ? e.closest("figure") : e);
    const ink = over(parse(svg ? style.fill : style.color), below);
    const [low, high] = [luminance(ink), luminance(below)].sort((a, b) => a - b);
    found.push([(high + 0.05) / (low + 0.05), e.tagName + "." + e.getAttribute("class"), e.textContent.slice(0, 40)]);
  }
  return found;
}"""  # noqa: E501
NAMELESS = """() => [...document.querySelectorAll("img, [role=img], button, select, a")]
  .filter((e) => e.getClientRects().length)
  .filter((e) => !(e.alt || e.getAttribute("aria-label") || e.textContent.trim()
    || e.querySelector("img[alt]"))).map((e) => e.outerHTML.slice(0, 80))"""
WIDER = """() => [...document.querySelectorAll("main *")]
  .filter((e) => !e.closest(".scroll, nav, svg, .unseen"))
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5)
  .map((e) => e.outerHTML.slice(0, 80))"""

# Drops a file [name, type, base64] onto a page that answers photos.
DROP = """([name, type, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, { type }));
  const about = { dataTransfer: data, bubbles: true, cancelable: true };
  for (const kind of ["dragover", "drop"])
    document.querySelector("#drop").dispatchEvent(new DragEvent(kind, about));
}"""


def answered(page: Any, count: int = 1) -> Any:
    """The newest answer of a page that answers photos, once `count` are there."""
    page.locator(".answer").nth(count - 1).wait_for()
    page.locator(".waiting").wait_for(state="detached")
    return page.locator(".answer").first
