"""What any page has to look like: no wider than the window, and with text that can be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from playwright.sync_api import Page

WIDTHS = (390, 1024, 1280, 1920)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def each_width(page: Page) -> Iterator[int]:
    """Give the window of the page one width after the other."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        yield width


def flaws_of(page: Page) -> list[str]:
    """What is wrong with the page that is open, in windows of each width and in both schemes.

    The window is changed, and the page is not loaded again, which would take most of the time.
    """
    flaws = []
    for width in each_width(page):
        wide = page.evaluate("document.documentElement.scrollWidth")
        flaws += [f"{wide} pixels wide in a window of {width}"] if wide > width else []
    page.set_viewport_size({"width": 1280, "height": 900})
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        flaws += [f"{scheme}: {text!r} has the contrast {ratio}" for text, ratio in _poor(page)]
    return flaws


def _poor(page: Page) -> list[tuple[str, str]]:
    """Texts with less contrast than WCAG 2 asks for (AA), with their ratios."""
    found: list[tuple[str, str]] = page.evaluate(_POOR_CONTRAST)
    return found


_POOR_CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255).map((v) =>
      v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const one = node.parentElement;
    if (!node.textContent.trim() || one.closest("svg, noscript") || !one.checkVisibility()) continue;
    const [a, b] = [light(parse(getComputedStyle(one).color)), light(ground(one))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push([node.textContent.trim().slice(0, 40), ratio.toFixed(2)]);
  }
  return poor.slice(0, 10);
}"""
