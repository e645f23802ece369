"""The documentation page in a real browser: how it looks, and what its controls do."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from selenium.webdriver.common.keys import Keys

from mock_server.contract.endpoints import BASE_URL, LLM_AUTO, PLACEHOLDER_KEY
from mock_server.contract.examples import EXAMPLE_STREAM, EXAMPLE_STREAM_ERROR
from tests.mock_server.page.reading import ParsedPage, Visitor
from tests.mock_server.wire import UNLIMITED, Mock, eventually

PIECE: Final = 'data: {"response":"a","done":false}\n\n'
PAGE: Final = Path(__file__).parents[3] / "docs" / "api.html"
LANGUAGES: Final = ("curl", "python-httpx", "python-requests", "node-js", "go")

# Every visible text whose contrast with what is behind it is under 4.5, the WCAG's AA.
FAINT: Final = """
const light = c => { const f = v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; };
  const [r, g, b] = c.match(/[\\d.]+/g).map(Number); return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (c !== 'rgba(0, 0, 0, 0)') return c; } return 'rgb(255, 255, 255)'; };
return [...document.querySelectorAll('body *')].filter(e => e.checkVisibility() &&
  [...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim())).flatMap(e => {
  const [ink, page] = [light(getComputedStyle(e).color), light(behind(e))];
  const ratio = (Math.max(ink, page) + .05) / (Math.min(ink, page) + .05);
  return ratio < 4.5 ? [[e.textContent.trim().slice(0, 40), ratio]] : []; });
"""
# Elements that reach beyond the screen without a scroller of their own around them.
OVERFLOWING: Final = """
return [...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && !e.closest('pre, .unseen, thead') &&
  e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80));
"""
# The texts of all events that a reader makes of a stream cut in two at every place, as a set of JSON documents.
CUT_EVERYWHERE: Final = """
const [source, seen] = [arguments[0], new Set()];
for (let at = 0; at <= source.length; at++) {
  const reader = new EventReader();
  const found = [...reader.push(source.slice(0, at)), ...reader.push(source.slice(at)), ...reader.push("", true)];
  seen.add(JSON.stringify(found));
}
return [...seen];
"""
# Stands in for a gateway whose stream is the given pieces and then breaks, or ends.
FAKE_STREAM: Final = """
const [pieces, breaks] = arguments;
const body = new ReadableStream({ pull(stream) {
  if (pieces.length) stream.enqueue(new TextEncoder().encode(pieces.shift()));
  else if (breaks) stream.error(new TypeError("network error"));
  else stream.close();
} }, { highWaterMark: 0 });
window.fetch = async () => new Response(body, { headers: { "content-type": "text/event-stream" } });
"""


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nobody answers: its port is taken, but not listened on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def shown_panels(visitor: Visitor) -> list[str]:
    return [str(each.get_attribute("id")) for each in visitor.all(".panel") if each.is_displayed()]


def submit(visitor: Visitor, **fields: str | bool) -> None:
    """Fill in the form as given, and send it."""
    for name, value in fields.items():
        if isinstance(value, bool):
            visitor.find(f"#try-{name}").click()
        elif visitor.find(f"#try-{name}").tag_name == "select":
            visitor.choose(f"#try-{name}", value)
        else:
            field = visitor.find(f"#try-{name}")
            field.clear()
            field.send_keys(value)
    visitor.find("#try-send").click()


def finished(visitor: Visitor) -> str:
    """The status line once the call is over."""
    visitor.wait(lambda: visitor.read("#try-status") and not visitor.find("#try-stop").is_displayed())
    return visitor.read("#try-status")


def headers_shown(visitor: Visitor) -> dict[str, str]:
    terms, values = visitor.all("#try-headers dt"), visitor.all("#try-headers dd")
    return {term.text: value.text for term, value in zip(terms, values, strict=True)}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_reads_well_and_keeps_to_itself(visitor: Visitor, mock: Mock, width: int, scheme: str) -> None:
    visitor.open(f"{mock.url}/docs", width, scheme)
    visitor.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert visitor.run("return innerWidth") == width
    assert visitor.run("return document.documentElement.scrollWidth") <= width
    assert visitor.run(OVERFLOWING) == []
    assert visitor.run(FAINT) == []
    assert visitor.complaints() == []
    assert visitor.fetched() == {f"{mock.url}/docs"}
    background = visitor.run("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 384) == (scheme == "dark")


def test_the_page_as_a_file_asks_for_nothing_else(visitor: Visitor) -> None:
    visitor.open(PAGE.as_uri())
    assert visitor.complaints() == []
    assert visitor.fetched() == {PAGE.as_uri()}


def test_a_click_chooses_the_language(visitor: Visitor, mock: Mock) -> None:
    visitor.open(f"{mock.url}/docs")
    assert shown_panels(visitor) == ["example-curl"]
    for language in reversed(LANGUAGES):
        visitor.find(f"label[for=choose-{language}]").click()
        assert shown_panels(visitor) == [f"example-{language}"]


def test_the_keyboard_chooses_the_language(visitor: Visitor, mock: Mock) -> None:
    visitor.open(f"{mock.url}/docs")
    visitor.find("#choose-curl").send_keys(Keys.ARROW_RIGHT)
    assert shown_panels(visitor) == ["example-python-httpx"]
    outline = "return getComputedStyle(document.querySelector('label[for=choose-python-httpx]')).outlineStyle"
    assert visitor.run(outline) == "solid"
    visitor.find("#choose-python-httpx").send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert shown_panels(visitor) == ["example-go"]


def test_the_keyboard_skips_to_the_content_and_opens_a_reason(visitor: Visitor, mock: Mock) -> None:
    visitor.open(f"{mock.url}/docs")
    visitor.find("body").send_keys(Keys.TAB)
    assert visitor.run("return document.activeElement.className") == "skip"
    assert visitor.run("return document.activeElement.getBoundingClientRect().top") >= 0
    visitor.browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert visitor.run("return document.activeElement.id") == "content"
    summary = visitor.find("#all-errors ~ table summary")
    reason = visitor.find("#all-errors ~ table .why p")
    assert not reason.is_displayed()
    summary.send_keys(Keys.ENTER)
    assert reason.is_displayed()


def test_the_button_copies_the_code_as_it_is_shown(visitor: Visitor, mock: Mock, page: ParsedPage) -> None:
    visitor.open(f"{mock.url}/docs")
    visitor.run("navigator.clipboard.writeText = async text => { window.copied = text; }")
    button = visitor.find("#example-curl .copy")
    button.send_keys(Keys.ENTER)
    visitor.wait(lambda: button.text == "Copied")
    here = page.code["curl"].replace(BASE_URL, mock.url).replace(PLACEHOLDER_KEY, UNLIMITED)
    assert visitor.run("return window.copied") == here
    assert visitor.read("#announcer") == "Copied to the clipboard"


def test_the_button_copies_without_a_clipboard_too(visitor: Visitor, mock: Mock, page: ParsedPage) -> None:
    visitor.open(f"{mock.url}/docs")
    visitor.run("navigator.clipboard.writeText = async () => { throw new Error('not allowed'); }")
    visitor.run("document.addEventListener('copy', () => { window.copied = String(getSelection()); })")
    button = visitor.find("#response-examples .copy")
    button.click()
    visitor.wait(lambda: button.text == "Copied")
    assert visitor.run("return window.copied") == page.code["200"]


def test_a_real_call_shows_status_headers_and_body(visitor: Visitor, mock: Mock) -> None:
    visitor.open(f"{mock.url}/docs")
    submit(visitor, message="hello", key="sk-test-basic")
    assert finished(visitor).startswith("200 OK in ")
    shown = headers_shown(visitor)
    body = json.loads(visitor.read("#try-body"))
    assert body["success"] is True
    assert shown["X-Request-Id"] == body["request_id"]
    assert shown["X-RateLimit-Limit"] == "60"
    assert not visitor.find("#try-answer").is_displayed()
    assert visitor.complaints() == []


def test_a_streamed_call_shows_the_answer_and_its_events(visitor: Visitor, mock: Mock) -> None:
    visitor.open(f"{mock.url}/docs")
    submit(visitor, message="hello", stream=True)
    status = finished(visitor)
    answer = visitor.read("#try-text")
    mock.reset()
    assert answer == mock.call({"messages": [{"role": "user", "content": "hello"}]}).json()["response"]
    events = [line.removeprefix("data: ") for line in visitor.read("#try-body").split("\n\n") if line]
    assert events.pop() == "[DONE]"
    assert json.loads(events[-1])["finish_reason"] == "stop"
    pieces = sum(bool(json.loads(event)["response"]) for event in events)
    assert status.endswith(f", {pieces} pieces, complete")
    assert headers_shown(visitor)["Content-Type"].startswith("text/event-stream")


@pytest.mark.parametrize(("code", "says"), [("429", "RATE_LIMIT_EXCEEDED"), ("502", "ALL_PROVIDERS_FAILED")])
def test_a_forced_error_is_shown(visitor: Visitor, mock: Mock, code: str, says: str) -> None:
    visitor.open(f"{mock.url}/docs")
    submit(visitor, stream=True, force=code)
    assert finished(visitor).startswith(code)
    assert json.loads(visitor.read("#try-body"))["error"]["code"] == says
    assert headers_shown(visitor)["Preference-Applied"] == f"code={code}"


def test_pieces_are_shown_as_they_arrive_until_stopped(visitor: Visitor, slow_mock: Mock) -> None:
    visitor.open(f"{slow_mock.url}/docs")
    submit(visitor, mode="quality", stream=True)  # the slow model is the best one
    visitor.wait(lambda: visitor.read("#try-status").endswith("pieces so far"))
    first = visitor.read("#try-text")
    visitor.wait(lambda: visitor.read("#try-text").startswith(first) and visitor.read("#try-text") != first)
    visitor.find("#try-stop").click()
    assert finished(visitor) == "Stopped."
    eventually(slow_mock.idle)


def test_a_new_call_takes_the_place_of_the_one_before(visitor: Visitor, slow_mock: Mock) -> None:
    visitor.open(f"{slow_mock.url}/docs")
    submit(visitor, mode="quality", stream=True)
    visitor.wait(lambda: visitor.read("#try-status").endswith("so far"))
    submit(visitor, force="500")
    assert finished(visitor).startswith("500")
    assert visitor.read("#try-text") == ""
    eventually(slow_mock.idle)


def test_a_page_opened_as_a_file_asks_where_the_mock_is(visitor: Visitor, mock: Mock, nobody: str) -> None:
    visitor.open(f"{mock.url}/docs")
    assert not visitor.find("#try-address").is_displayed()
    visitor.open(PAGE.as_uri())
    assert visitor.find("#try-address").is_displayed()
    assert "--cors" in visitor.find("#try-address-hint").text
    submit(visitor, address=f"{nobody}/")
    status = finished(visitor)
    assert status.startswith("No answer: ")
    assert status.endswith(f"Is the mock running at {nobody}, and was it started with --cors?")
    assert f"{nobody}{LLM_AUTO.path}" in visitor.fetched()


@pytest.mark.parametrize(
    ("pieces", "breaks", "ending"),
    [
        ([PIECE], False, "1 piece, ended without [DONE]"),
        ([PIECE, PIECE], True, "2 pieces, the connection broke (network error)"),
        ([PIECE, "data: {oops\n\n"], False, "1 piece, an event was not JSON"),
        ([PIECE, EXAMPLE_STREAM_ERROR], False, "1 piece, failed in mid-stream with ALL_PROVIDERS_FAILED"),
        ([EXAMPLE_STREAM], False, "2 pieces, complete"),
    ],
)
def test_how_a_stream_ended_is_said(visitor: Visitor, mock: Mock, pieces: list[str], breaks: bool, ending: str) -> None:
    visitor.open(f"{mock.url}/docs")
    visitor.run(FAKE_STREAM, pieces, breaks)
    submit(visitor, stream=True)
    assert finished(visitor).endswith(ending)
    assert visitor.read("#try-body") == "".join(pieces)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_events_are_read_whatever_their_framing(visitor: Visitor, line_end: str) -> None:
    visitor.open(PAGE.as_uri())
    lines = [
        ": keep-alive",
        "",
        "data: 一",
        "",
        "id: 7",
        "data:two",
        "data:  lines",
        "retry: 1",
        "",
        "data",
        "",
        "data: cut",
    ]
    source = line_end.join(lines)
    assert visitor.run(CUT_EVERYWHERE, source) == [
        json.dumps(["一", "two\n lines", ""], ensure_ascii=False, separators=(",", ":"))
    ]
