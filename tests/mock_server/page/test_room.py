"""The control room in a real browser: what it shows of a mock, and that it keeps to itself."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.keys import Keys

from mock_server.http.control.table import PREFIX
from mock_server.judge.rules import RULES
from mock_server.page.room.document import ASKED, LISTED
from tests.mock_server.conftest import StartMock
from tests.mock_server.page.reading import Visitor
from tests.mock_server.page.room import Room
from tests.mock_server.page.test_browser import FAINT, OVERFLOWING
from tests.mock_server.wire import Mock, chat

TOKEN = "correct-horse-battery"  # noqa: S105 - of a mock that lives as long as the test
HOSTILE = "<img/src=x/onerror=alert(1)>'$(reboot)"
TABS = ("request", "verdict", "coverage", "steer")


def some_traffic(mock: Mock) -> None:
    """Good calls, errors, faults, retries, and what a hostile client might send."""
    mock.call(chat("a"), key="sk-test-pro")
    for _ in range(2):
        mock.call(chat("b"), headers={"Prefer": "code=402"}, test="checkout-of-a-basket-with-a-very-long-name" * 3)
    mock.call(chat("c", stream=True), headers={"X-Mock-Fault": "error_event"}, test="streaming")
    mock.call(chat("d"), test=HOSTILE)
    mock.http.get("/v1/<script>alert(1)</script>")


def test_a_call_is_seen_as_it_arrives_and_opened(room: Room) -> None:
    room.enter()
    visitor, mock = room.visitor, room.mock
    visitor.wait(lambda: visitor.find("#nothing").is_displayed())
    assert f"'{mock.url}/v1/llm/auto'" in visitor.read("#nothing .curl code")
    answer = mock.call(chat(stream=True), key="sk-test-pro", headers={"X-Mock-Fault": "eof"}, test="mine")
    room.shows("200")
    assert not visitor.find("#nothing").is_displayed()
    assert (room.listed("key"), room.listed("test")) == (["…-pro"], ["mine"])
    visitor.find("#rows .open").click()
    visitor.wait(lambda: visitor.all("#route table"))
    (entry,) = mock.control("requests")["entries"]
    assert visitor.read("#opened-id") == answer.headers["x-request-id"]
    assert visitor.read("#opened-fault") == f"{entry['fault']} struck"
    assert "place 1 of" in visitor.read("#route")
    assert f"{entry['provider']}/{entry['model']} struck" in visitor.read("#timeline")
    assert visitor.read('#entry [data-field="body_hash"]') == entry["body_hash"]
    assert not visitor.find('#entry [data-field="retry_after_s"]').is_displayed()
    mock.http.post(f"{PREFIX}/outcomes/{entry['request_id']}", json={"outcome": "partial"})
    visitor.find("#rows .open").click()
    visitor.wait(lambda: visitor.read('#entry [data-field="attested"]') == "partial")
    assert visitor.complaints() == []


def test_requests_are_filtered_and_a_filter_that_nothing_can_match_is_explained(room: Room) -> None:
    some_traffic(room.mock)
    room.enter()
    room.shows("404", "200", "200", "402", "402", "200")
    room.filter(status="402")
    room.shows("402", "402")
    room.mock.call(chat("e"))
    room.mock.call(chat("f"), headers={"Prefer": "code=402"})
    room.shows("402", "402", "402")
    room.filter(status="200", key="sk-test-pro")
    room.shows("200")
    room.visitor.complaints()
    room.filter(status="299")
    room.visitor.wait(lambda: "no answer has 299" in room.visitor.read("#filter-said"))
    room.shows("200")
    (complaint,) = room.visitor.complaints()
    assert "400" in complaint
    room.visitor.find("#filters [type=reset]").click()
    room.visitor.wait(lambda: len(room.listed()) == 8)
    room.about("streaming")
    room.shows("200")
    room.choose("verdict")
    room.visitor.wait(lambda: room.visitor.read("#verdict-counted") == "1 call, 1 request")


def test_the_address_may_carry_the_test_id(room: Room) -> None:
    some_traffic(room.mock)
    room.enter(prefix="/__test__/streaming")
    room.shows("200")
    assert room.visitor.run("return document.getElementById('test').value") == "streaming"
    assert "-H 'X-Mock-Test: streaming'" in room.visitor.read("#form-reset .curl code")
    assert f"'{room.mock.url}/__mock__/reset'" in room.visitor.read("#form-reset .curl code")


def test_verdict_and_coverage_grow(room: Room) -> None:
    room.enter()
    visitor, mock = room.visitor, room.mock
    room.choose("verdict")
    visitor.wait(lambda: visitor.read("#verdict-result") == "NOT_EXERCISED")
    for _ in range(2):
        mock.call(chat("b"), headers={"Prefer": "code=402"})
    visitor.wait(lambda: visitor.read("#verdict-result") == "FAIL")
    assert len(visitor.all("#rules > li")) == len(RULES)
    worst = visitor.find("#rules > li")
    assert worst.get_attribute("data-rule") == "non_retryable_retried"
    worst.find_element("css selector", "summary").click()
    worst.find_element("css selector", ".found .link").click()
    ids = [entry["request_id"] for entry in mock.control("requests")["entries"]]
    visitor.wait(lambda: visitor.read("#opened-id") in ids)
    room.choose("coverage")
    visitor.wait(lambda: visitor.all("#coverage-map .met"))
    before = len(visitor.all("#coverage-map .met"))
    mock.call(chat("c"), headers={"X-Mock-Fault": "empty"})
    visitor.wait(lambda: len(visitor.all("#coverage-map .met")) == before + 1)
    assert visitor.read("#coverage-percent") == f"{mock.control('coverage')['percent']} %"


def test_a_page_left_open_does_not_grow_and_says_what_it_left_out(room: Room) -> None:
    room.enter()
    room.mock.call()
    room.shows("200")
    pause = room.visitor.find("#pause")
    pause.click()
    for _ in range(ASKED + 20):
        room.mock.call()
    room.visitor.wait(lambda: f"{ASKED + 21} requests" in room.visitor.read("#counted"))
    assert room.listed() == ["200"]
    pause.click()
    room.visitor.wait(lambda: len(room.listed()) == ASKED + 1)
    assert room.visitor.read("#rows .gap").startswith("20 more requests in between")
    for _ in range(2):  # as many as fit, and then as many more
        told, calls = room.visitor.read("#counted"), 0
        while len(room.visitor.all("#rows tr")) < LISTED or calls < ASKED // 2:
            room.mock.call()
            calls += 1
        room.moves("#counted", told)
    assert len(room.visitor.all("#rows tr")) == LISTED
    assert room.visitor.complaints() == []


def test_a_reset_by_anybody_empties_the_list(room: Room) -> None:
    some_traffic(room.mock)
    room.enter()
    room.visitor.wait(lambda: len(room.listed()) == 6)
    room.mock.reset("streaming")
    room.visitor.wait(lambda: len(room.listed()) == 5)
    room.mock.reset()
    room.visitor.wait(lambda: room.visitor.find("#nothing").is_displayed())


def test_a_mock_that_is_started_anew_is_watched_anew(visitor: Visitor, start_mock: StartMock) -> None:
    first = start_mock("--world", "instant")
    room = Room(visitor, first)
    first.call(headers={"Prefer": "code=500"})
    room.enter()
    room.shows("500")
    first.stop()
    visitor.wait(lambda: visitor.read("#state-text").startswith("The mock does not answer"))
    second = start_mock("--world", "instant", "--port", str(first.port))
    for _ in range(3):
        second.call()
    visitor.wait(room.live)
    room.shows("200", "200", "200")
    visitor.browser.get("about:blank")


def test_the_token_is_asked_for_and_travels_in_its_header_alone(visitor: Visitor, start_mock: StartMock) -> None:
    mock = start_mock("--world", "instant", "--admin-token", TOKEN)
    room = Room(visitor, mock)
    mock.call()
    room.enter()
    visitor.wait(lambda: visitor.find("#token-form").is_displayed())
    assert visitor.run("return document.activeElement.id") == "token"
    assert room.listed() == []
    visitor.find("#token").send_keys("wrong", Keys.ENTER)
    visitor.wait(lambda: visitor.read("#token-said") == "The mock does not take this token.")
    visitor.find("#token").send_keys(TOKEN, Keys.ENTER)
    room.shows("200")
    assert not visitor.find("#token-form").is_displayed()
    assert '-H "X-Mock-Admin-Token: $MOCK_ADMIN_TOKEN"' in visitor.read("#form-reset .curl code")
    assert TOKEN not in visitor.run("return document.documentElement.outerHTML")
    assert [url for url in visitor.fetched() if TOKEN in url] == []
    visitor.browser.refresh()
    room.shows("200")
    visitor.run("sessionStorage.clear()")
    visitor.browser.get("about:blank")


def test_whatever_a_client_sends_is_shown_as_text(room: Room) -> None:
    some_traffic(room.mock)
    room.enter()
    visitor = room.visitor
    visitor.wait(lambda: HOSTILE in room.listed("test"))
    for row in range(2):
        visitor.run("document.querySelectorAll('#rows .open')[arguments[0]].click()", row)
        said = ("<script>alert(1)</script>", HOSTILE)[row]
        room.says("#entry-json", said)
    room.choose("verdict")
    visitor.wait(lambda: HOSTILE in visitor.read("#verdict-tests"))
    room.about(HOSTILE)
    visitor.wait(lambda: "'X-Mock-Test: <img/src=x/onerror=alert(1)>'\\''$(reboot)'" in visitor.read("#form-reset pre"))
    assert visitor.all("img, main script") == []
    assert visitor.complaints() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_room_fits_reads_well_and_keeps_to_itself(room: Room, width: int, scheme: str) -> None:
    some_traffic(room.mock)
    room.enter(width, scheme)
    visitor = room.visitor
    visitor.wait(lambda: len(room.listed()) == 6)
    visitor.run("document.querySelectorAll('#rows .open')[2].click()")
    visitor.wait(lambda: visitor.all("#route table"))
    visitor.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    ready: dict[str, Callable[[], object]] = {
        "request": lambda: True,
        "verdict": lambda: visitor.all("#verdict-tests table"),
        "coverage": lambda: visitor.all("#coverage-map .met"),
        "steer": lambda: visitor.all("#now-providers table"),
    }
    for tab in TABS:
        room.choose(tab)
        visitor.wait(ready[tab])
        assert visitor.run("return document.documentElement.scrollWidth") <= width, tab
        assert visitor.run(OVERFLOWING) == [], tab
        assert visitor.run(FAINT) == [], tab
    assert visitor.complaints() == []
    assert {urlsplit(url)._replace(path="", query="").geturl() for url in visitor.fetched()} == {room.mock.url}
    background = visitor.run("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 384) == (scheme == "dark")


def test_the_keyboard_reaches_everything(room: Room) -> None:
    some_traffic(room.mock)
    room.enter()
    visitor = room.visitor
    visitor.wait(lambda: len(room.listed()) == 6)

    def focused() -> str:
        return str(visitor.run("const e = document.activeElement; return e.id || e.getAttribute('aria-label') || ''"))

    def press(*keys: str) -> None:
        for key in keys:
            visitor.browser.switch_to.active_element.send_keys(key)

    visitor.find("body").send_keys(Keys.TAB)
    press(Keys.ENTER)
    assert focused() == "requests"
    press(Keys.TAB)
    assert focused() == "pause"
    assert visitor.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    while not focused().startswith("Open "):
        press(Keys.TAB)
    press(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)
    chosen = focused()
    visitor.wait(lambda: visitor.read("#opened-id") in chosen)
    press(Keys.TAB)
    assert focused() == "tab-request"  # of all requests one is reached by Tab
    press(Keys.ARROW_LEFT)
    assert focused() == "tab-steer"
    press(Keys.TAB, Keys.TAB)
    assert visitor.run("return document.activeElement.textContent") == "Freeze"
    press(Keys.ENTER)
    visitor.wait(lambda: room.mock.control("clock")["frozen"])
