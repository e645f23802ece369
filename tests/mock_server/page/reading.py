"""The documentation page as a program and as a visitor see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any, Final

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.mock_server.wire import TIMEOUT_S

VOID: Final = frozenset({"br", "input", "link", "meta", "wbr"})


class ParsedPage(HTMLParser):
    """What the page's markup says: its elements, its visible text, and its code blocks by title."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.misnested: list[str] = []
        self.code: dict[str, str] = {}
        self._open: list[str] = []
        self._pieces: list[str] = []
        self._title = ""
        self.feed(source)
        self.close()
        self.misnested += self._open
        self.text = " ".join("".join(self._pieces).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.elements.append((tag, found))
        if tag in VOID:
            return
        self._open.append(tag)
        if tag == "pre":
            self._title = found.get("aria-label") or ""
            self.code[self._title] = ""

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.misnested.append(tag)
        if tag in {"p", "li", "td", "th", "div", "dt", "dd", "caption", "h1", "h2", "h3", "option"}:
            self._pieces.append(" ")

    def handle_data(self, data: str) -> None:
        if "pre" in self._open:
            self.code[self._title] += data
        if not {"script", "style"} & set(self._open):
            self._pieces.append(data)

    def values(self, attribute: str) -> list[str]:
        """Every value of an attribute, in order."""
        return [value for _, found in self.elements if (value := found.get(attribute)) is not None]


class Visitor:
    """Somebody who looks at the page with a browser."""

    def __init__(self, browser: Chrome) -> None:
        self.browser: Any = browser  # selenium's own annotations leave out the logs

    def open(self, url: str, width: int = 1280, scheme: str = "light") -> None:
        """Load the page anew, on a screen of this width; what was logged before is forgotten."""
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.browser.get("about:blank")
        self.complaints()
        self.fetched()
        self.browser.get(url)

    def complaints(self) -> list[str]:
        """What the console said since last asked."""
        return [entry["message"] for entry in self.browser.get_log("browser")]

    def fetched(self) -> set[str]:
        """The addresses asked for since last asked."""
        messages = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        urls = {m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"}
        return {url for url in urls if not url.startswith("data:")}

    def run(self, script: str, *arguments: object) -> Any:
        return self.browser.execute_script(script, *arguments)

    def find(self, selector: str) -> WebElement:
        found: WebElement = self.browser.find_element(By.CSS_SELECTOR, selector)
        return found

    def all(self, selector: str) -> list[WebElement]:
        return list(self.browser.find_elements(By.CSS_SELECTOR, selector))

    def read(self, selector: str) -> str:
        """The text of an element, shown or not."""
        return str(self.run("return document.querySelector(arguments[0]).textContent", selector))

    def wait(self, condition: Callable[[], object]) -> None:
        WebDriverWait(self.browser, TIMEOUT_S, poll_frequency=0.02).until(lambda _: condition())

    def choose(self, select: str, value: str) -> None:
        self.run(
            "const s = document.querySelector(arguments[0]); s.value = arguments[1]; if (s.value !== arguments[1]) "
            "throw new Error('no such option');",
            select,
            value,
        )
