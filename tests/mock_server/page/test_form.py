"""What the page says of answers that are none, and whom its examples call."""

from __future__ import annotations

import re

import pytest

from mock_server.contract.endpoints import BASE_URL, PLACEHOLDER_KEY
from mock_server.core.faults import TABLE
from tests.mock_server.page.reading import ParsedPage, Visitor
from tests.mock_server.page.test_browser import LANGUAGES, PAGE, finished, submit
from tests.mock_server.wire import UNLIMITED, Mock


def examples(visitor: Visitor) -> str:
    return "\n".join(str(visitor.run("return arguments[0].textContent", each)) for each in visitor.all(".examples pre"))


@pytest.mark.parametrize("prefix", ["", "/__test__/mine"])
def test_the_examples_call_the_mock_that_shows_them(
    visitor: Visitor, mock: Mock, page: ParsedPage, prefix: str
) -> None:
    visitor.open(f"{mock.url}{prefix}/docs")
    shown = examples(visitor)
    assert shown.count(f"{mock.url}{prefix}/v1/llm/auto") == 2 * len(LANGUAGES)
    assert shown.count(UNLIMITED) == 2 * len(LANGUAGES)
    assert BASE_URL not in shown
    assert PLACEHOLDER_KEY not in shown
    visitor.find("#examples-real").click()
    documented = examples(visitor)
    assert page.code["Node.js"] in documented
    assert mock.url not in documented
    assert BASE_URL in visitor.read("#examples-say")
    visitor.find("#examples-real").click()
    assert examples(visitor) == shown
    assert visitor.complaints() == []


def test_a_page_opened_as_a_file_shows_the_documented_examples(visitor: Visitor, page: ParsedPage) -> None:
    visitor.open(PAGE.as_uri())
    assert page.code["Node.js"] in examples(visitor)
    assert not visitor.find("#examples-switch").is_displayed()


def test_the_form_offers_every_fault(visitor: Visitor, mock: Mock) -> None:
    visitor.open(f"{mock.url}/docs")
    offered = [option.text for option in visitor.all("#try-fault option")]
    assert offered == ["none", *TABLE]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("empty", r"200 OK in \d+ ms: an empty body, where JSON was promised"),
        ("malformed_json", r"200 OK in \d+ ms: \d+ bytes that are not JSON, though the header says so"),
        ("wrong_type", r"200 OK in \d+ ms: \d+ bytes of text/html, where JSON was promised"),
        ("truncated_json", r"200 OK in \d+ ms: the connection broke before the body was whole"),
        (
            "reset",
            r"No answer: the connection broke before one came\. The mock is running, so a fault such as reset .*",
        ),
        ("fin", r"No answer: the connection broke before one came\. The mock is running, .*"),
        ("eof", r"400 Bad Request in \d+ ms: \d+ bytes"),
    ],
)
def test_what_came_of_a_fault_is_explained(visitor: Visitor, mock: Mock, fault: str, says: str) -> None:
    visitor.open(f"{mock.url}/docs")
    submit(visitor, message="hello", fault=fault)
    assert re.fullmatch(says, finished(visitor)), finished(visitor)
    # Chromium sends a call again by itself when a connection that it reused is closed without an answer.
    struck = {entry["fault"].partition(";")[0] for entry in mock.control("requests")["entries"]}
    assert struck == {"" if fault == "eof" else fault}


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("eof", "ended without [DONE]"),
        ("bad_chunk", ", complete, but an event was not JSON"),
        ("done_then_hang;for=3", ", complete; then the connection broke (network error)"),
        ("", "complete"),
    ],
)
def test_a_fault_of_a_stream_is_told(visitor: Visitor, mock: Mock, fault: str, says: str) -> None:
    visitor.open(f"{mock.url}/docs")
    submit(visitor, message="hello", fault=fault, stream=True)
    assert finished(visitor).endswith(says)


@pytest.mark.parametrize(("key", "code"), [("密钥", "U+5BC6"), ("sk-test–pro", "U+2013"), ("sk\u200b", "U+200B")])
def test_a_key_that_no_header_can_carry_is_not_sent(visitor: Visitor, mock: Mock, key: str, code: str) -> None:
    visitor.open(f"{mock.url}/docs")
    submit(visitor, message="hello", key=key)
    status = finished(visitor)
    assert status.startswith("Not sent: no HTTP header can carry “")
    assert f"({code}), which the API key holds" in status
    assert mock.control("requests")["entries"] == []
    submit(visitor, key="sk-test-pro")
    assert finished(visitor).startswith("200 OK in ")


def test_a_key_that_a_header_can_carry_is_sent_and_refused(visitor: Visitor, mock: Mock) -> None:
    visitor.open(f"{mock.url}/docs")
    submit(visitor, message="hello", key="clé")
    assert finished(visitor).startswith("401")


def test_a_page_with_a_test_id_calls_for_that_test(visitor: Visitor, mock: Mock) -> None:
    visitor.open(f"{mock.url}/__test__/mine/docs")
    submit(visitor, message="hello")
    assert finished(visitor).startswith("200 OK in ")
    assert [entry["test"] for entry in mock.control("requests")["entries"]] == ["mine"]


@pytest.mark.parametrize("prefix", ["", "/__test__/mine"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_root_leads_to_the_page(mock: Mock, prefix: str, method: str) -> None:
    for end in ("/", "") if prefix else ("/",):
        answer = mock.http.request(method, f"{prefix}{end}")
        assert (answer.status_code, answer.headers["location"]) == (307, f"{prefix}/docs")
        assert len(answer.headers.get_list("x-request-id")) == 1
    assert mock.http.get(f"{prefix}/", follow_redirects=True).headers["content-type"].startswith("text/html")
