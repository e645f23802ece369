"""Chromium: a page's fetch, read line by line. Beside what the page is told stands what the developer tools show."""

import json
import shutil
import sys
from pathlib import Path

from calls import TIMEOUT_S, Call, calls
from selenium import webdriver

from zoo.programs import BROWSERS

PAGE = "/docs"
MAKE = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")


def start() -> webdriver.Chrome:
    """A browser without a window."""
    program, driver = next(filter(None, map(shutil.which, BROWSERS)), None), shutil.which("chromedriver")
    if program is None or driver is None:
        sys.exit("needs Chromium and its driver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for switch in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def shown(browser: webdriver.Chrome) -> list[str]:
    """The errors of the network that the developer tools have shown since they were last asked."""
    entries = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    return [entry["params"]["errorText"] for entry in entries if entry["method"] == "Network.loadingFailed"]


def make(browser: webdriver.Chrome, call: Call) -> None:
    """Make one call from the page."""
    found = browser.execute_async_script(MAKE, call.url, call.headers, call.body)
    call.pieces, call.complete = found["pieces"], found["complete"]
    call.tell([found["error"], *shown(browser)] if found["error"] else [])


browser = start()
try:
    browser.set_script_timeout(TIMEOUT_S)
    asked = list(calls())
    browser.get(asked[0].url.partition("/v1/")[0] + PAGE)
    shown(browser)
    for call in asked:
        make(browser, call)
finally:
    browser.quit()
