"""report.html in a real browser: fits the screen, says nothing on the console, fetches nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome

from reports.__main__ import main
from reports.sample import REPORT_HTML

Make = Callable[..., Any]

_CONTRAST = """
const seen = [];
const light = c => { const f = v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; };
  const [r, g, b] = c.match(/[\\d.]+/g).map(Number); return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (c !== 'rgba(0, 0, 0, 0)') return c; } return 'rgb(255, 255, 255)'; };
for (const e of document.querySelectorAll('p, small, td, th, h1 span, h2, h3, dt, dd, figcaption, .tag, svg text')) {
  if (!e.textContent.trim()) continue;
  const style = getComputedStyle(e), ink = light(e instanceof SVGElement ? style.fill : style.color);
  const page = light(behind(e));
  const ratio = (Math.max(ink, page) + .05) / (Math.min(ink, page) + .05);
  if (ratio < 4.5) seen.push([e.textContent.trim().slice(0, 40), ratio]);
}
return seen;
"""


def show(browser: Chrome, page: Path, width: int, scheme: str) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(page.as_uri())


def logged(browser: Any, kind: str) -> list[dict[str, Any]]:
    """What the browser wrote to one of its logs since last asked."""
    return list(browser.get_log(kind))


def fetched(browser: Chrome) -> set[str]:
    messages = [json.loads(entry["message"])["message"] for entry in logged(browser, "performance")]
    return {m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"}


@pytest.fixture(scope="module")
def page(make_shared_run: Make) -> Path:
    builder = make_shared_run()
    builder.fail(slice(300, 900, 100), "refused", status=502, code="ALL_PROVIDERS_FAILED").fail(600, "cut_off")
    builder.health = None
    builder.manifest["labels"] = {"a-label-without-a-place-to-break" * 4: "x" * 300}
    builder.set(slice(700, 800), model="qwen/一个名字很长的模型-" + "x" * 60)
    run: Path = builder.write()
    main(["build", str(run)])
    return run / REPORT_HTML


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_report_fits_reads_well_and_keeps_to_itself(browser: Chrome, page: Path, width: int, scheme: str) -> None:
    fetched(browser)
    logged(browser, "browser")
    show(browser, page, width, scheme)
    assert browser.execute_script("return innerWidth") == width
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script(_CONTRAST) == []
    assert logged(browser, "browser") == []
    assert {url for url in fetched(browser) if not url.startswith("data:")} == {page.as_uri()}
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 384) == (scheme == "dark")


def test_the_verdict_and_its_reason_are_seen_first(browser: Chrome, page: Path) -> None:
    show(browser, page, 390, "light")
    for selector in (".verdict", ".why", ".keys"):
        top = browser.execute_script(f"return document.querySelector('{selector}').getBoundingClientRect().top")
        assert 0 <= top < 400


def test_plot_text_stays_inside_its_plot_and_every_plot_has_a_text_alternative(browser: Chrome, page: Path) -> None:
    show(browser, page, 1280, "light")
    outside = browser.execute_script("""
      return [...document.querySelectorAll('.plot svg text')].filter(text => {
        const box = text.getBoundingClientRect(), plot = text.closest('figure').getBoundingClientRect();
        return box.left < plot.left || box.right > plot.right || box.top < plot.top || box.bottom > plot.bottom;
      }).map(text => text.textContent)""")
    assert outside == []
    labels = browser.execute_script(
        "return [...document.querySelectorAll('.plot')].map(plot => plot.getAttribute('aria-label'))"
    )
    assert len(labels) == 6
    assert all(len(label) > 60 for label in labels)


def test_a_phone_shows_limits_measurements_and_counts_without_scrolling(browser: Chrome, page: Path) -> None:
    show(browser, page, 390, "light")
    hidden = browser.execute_script("""
      const cells = document.querySelectorAll('#gates td:not(.blank), #validity td, #ledger td, #errors td');
      return [...cells].filter(cell => {
        if (cell.closest('details')) return false;
        const box = cell.getBoundingClientRect();
        return box.width === 0 || box.left < 0 || box.right > innerWidth;
      }).map(cell => cell.textContent)""")
    assert hidden == []
    heads = browser.execute_script(
        "return [...document.querySelectorAll('#gates tr:first-child td')].map(cell => "
        "getComputedStyle(cell, '::before').content)"
    )
    assert {'"Limit"', '"Measured"', '"95 % interval"'} <= set(heads)


def test_plots_keep_a_readable_size_on_a_phone(browser: Chrome, page: Path) -> None:
    show(browser, page, 390, "light")
    heights = browser.execute_script(
        "return [...document.querySelectorAll('.plot svg text')].map(text => text.getBoundingClientRect().height)"
    )
    assert min(heights) >= 10
