"""The control room's forms: each does what the curl line that it shows does, and says what was answered."""

from __future__ import annotations

import json
import subprocess
from typing import Any, Final, NamedTuple

import pytest

from mock_server.contract.errors import FORCED
from mock_server.core.faults import TABLE
from mock_server.http.control.room import room_files
from mock_server.http.control.table import PREFIX
from tests.mock_server.page.reading import ParsedPage, Visitor
from tests.mock_server.page.room import Room
from tests.mock_server.wire import UNLIMITED, Mock


class Case(NamedTuple):
    """A form, how it is filled in, and where what came of it is seen."""

    form: str
    fields: dict[str, str]
    view: str
    seen: dict[str, Any]
    test: str = ""


FAULT: Final = {
    "queue_fault-fault-kind": "reset",
    "queue_fault-fault-stage": "mid_stream",
    "queue_fault-fault-after": "3",
    "queue_fault-match.text": "it's $HOME",
    "queue_fault-times": "2",
}
FAULTY: Final = {"match": {"text": "it's $HOME"}, "fault": "reset;stage=mid_stream;after=3", "times": 2}
HEADED: Final = {"queue_fault-code": "429", "queue_fault-headers": "Retry-After: 30\nx-should-retry: false"}
LIMITED: Final = {"code": 429, "headers": {"Retry-After": "30", "x-should-retry": "false"}}
OUTAGE: Final = {"kind": "outage", "for": "600", "match": "groq", "announced": "true"}
CASES: Final = (
    Case("steer_clock-freeze", {}, "clock", {"frozen": True}),
    Case("steer_clock-auto", {}, "clock", {"auto": True, "own": True}, test="mine"),
    Case("queue_fault", FAULT, "faults", {"faults": [{"rule": FAULTY}]}),
    Case("queue_fault", HEADED, "faults", {"faults": [{"rule": LIMITED | {"match": {"test": "mine"}}}]}, test="mine"),
    Case(
        "start_incident",
        {f"start_incident-{name}": value for name, value in OUTAGE.items()},
        "incidents",
        {"incidents": [{"id": 1, "incident": {"kind": "outage", "match": "groq", "announced": True}}]},
    ),
    Case(
        "change_account",
        {"change_account-key": "sk-test-pro", "change_account-balance": "7", "change_account-plan": "free"},
        "accounts/sk-test-pro",
        {"balance": 7, "plan": "free"},
    ),
    Case(
        "change_account",
        {"change_account-key": "sk-test-free", "null": "change_account-balance-null"},
        "accounts/sk-test-free",
        {"balance": None},
        test="a'b",
    ),
    Case(
        "change_provider",
        {"change_provider-name": "openai/gpt-4.1", "change_provider-error_rate": "0.5"},
        "providers/openai/gpt-4.1",
        {"models": [{"name": "openai/gpt-4.1", "error_rate": 0.5}]},
    ),
)


def holds(found: Any, wanted: Any) -> bool:
    """Whether all that is wanted is found, at its place."""
    if isinstance(wanted, dict):
        return all(name in found and holds(found[name], value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(holds, found, wanted))
    return bool(found == wanted)


def shell(line: str) -> Any:
    """What a line that is pasted into a shell is answered with."""
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def curl(room: Room, form: str) -> str:
    return room.visitor.read(f"#form-{form} .curl code")


def submit(room: Room, form: str) -> str:
    """Press the form's button; what it says was answered."""
    room.visitor.find(f"#form-{form} [type=submit]").click()
    room.visitor.wait(lambda: room.visitor.read(f"#form-{form} output") not in ("", "…"))
    return room.visitor.read(f"#form-{form} output")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.form} {case.test}".strip())
def test_a_form_and_its_curl_line_do_the_same(room: Room, case: Case) -> None:
    room.enter()
    room.visitor.wait(room.live)
    room.about(case.test)
    for ident, value in case.fields.items():
        if ident == "null":
            room.visitor.find(f"#{value}").click()
        else:
            room.fill(ident, value)
    line = curl(room, case.form)
    assert not holds(room.mock.control(case.view, test=case.test), case.seen)
    answer = submit(room, case.form)
    assert json.loads(answer)
    assert holds(room.mock.control(case.view, test=case.test), case.seen)
    room.mock.reset()
    shell(line)
    assert holds(room.mock.control(case.view, test=case.test), case.seen)
    assert room.visitor.complaints() == []


def test_a_queued_fault_strikes_and_is_counted_and_removed(room: Room) -> None:
    room.enter()
    room.fill("queue_fault-code", "429")
    room.fill("queue_fault-times", "1")
    submit(room, "queue_fault")
    assert room.mock.call().status_code == 429
    room.visitor.wait(lambda: "1 of 1" in room.visitor.read("#now-faults"))
    shell(curl(room, "clear_faults"))
    room.visitor.wait(lambda: "No fault is queued" in room.visitor.read("#now-faults"))


def test_an_incident_heals_by_its_button_or_its_line(room: Room) -> None:
    room.enter()
    for ident, value in CASES[4].fields.items():
        room.fill(ident, value)
    for by_line in (True, False):
        submit(room, "start_incident")
        room.visitor.wait(lambda: room.visitor.all("#now-incidents .line"))
        if by_line:
            shell(room.visitor.read("#now-incidents .line"))
        else:
            room.visitor.find("#now-incidents button").click()
        room.visitor.wait(lambda: room.mock.control("incidents") == {"incidents": []})
        room.visitor.wait(lambda: not room.visitor.all("#now-incidents .line"))


def test_a_frozen_clock_is_advanced_and_runs_on(room: Room) -> None:
    room.enter()
    submit(room, "steer_clock-freeze")
    before = room.mock.control("clock")["now"]
    room.visitor.wait(lambda: room.visitor.read('[data-value="clock"]').endswith("frozen"))
    room.fill("steer_clock-advance-advance", "60")
    submit(room, "steer_clock-advance")
    assert room.mock.control("clock")["now"] == pytest.approx(before + 60)
    shell(curl(room, "steer_clock-advance"))
    assert room.mock.control("clock")["now"] == pytest.approx(before + 120)
    submit(room, "steer_clock-resume")
    assert not room.mock.control("clock")["frozen"]


def test_a_reset_is_asked_for_twice(room: Room) -> None:
    room.mock.call(test="mine")
    room.mock.call()
    room.enter()
    room.about("mine")
    button = room.visitor.find("#form-reset [type=submit]")
    button.click()
    assert button.text == "Press again to forget test mine"
    assert room.mock.control("requests/count") == {"count": 2}
    button.click()
    room.visitor.wait(lambda: room.mock.control("requests/count") == {"count": 1})
    room.visitor.wait(lambda: '"mine"' in room.visitor.read("#form-reset output"))
    shell(curl(room, "reset").replace("'X-Mock-Test: mine'", "'X-Mock-Test: other'"))
    assert room.mock.control("requests/count") == {"count": 1}


def test_what_the_mock_refuses_is_said_in_its_words(room: Room) -> None:
    room.enter()
    room.visitor.wait(room.live)
    room.fill("change_account-key", "sk-nobody")
    room.fill("change_account-balance", "5")
    assert "no account has this key" in submit(room, "change_account")
    room.visitor.wait(room.live)


def test_what_the_application_made_of_an_answer_is_attested(room: Room) -> None:
    request_id = room.mock.call().headers["x-request-id"]
    room.enter()
    room.shows("200")
    room.visitor.find("#rows .open").click()
    room.visitor.wait(lambda: room.visitor.find("#opened").is_displayed())
    room.fill("attest_outcome-outcome", "partial")
    line = curl(room, "attest_outcome")
    submit(room, "attest_outcome")
    room.visitor.wait(lambda: room.visitor.read('#entry [data-field="attested"]') == "partial")
    assert shell(line) == {"request_id": request_id, "outcome": "partial"}


def test_a_first_call_is_one_line_away(room: Room) -> None:
    room.enter()
    room.visitor.wait(lambda: room.visitor.find("#nothing").is_displayed())
    line = room.visitor.read("#nothing .curl code")
    answer = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout
    assert answer.endswith("data: [DONE]\n\n")
    room.shows("200")


def test_a_directive_offers_only_what_its_kind_takes(room: Room) -> None:
    room.enter()
    script = "return [...document.querySelectorAll('#queue_fault-fault-stage option:enabled')].map(e => e.value)"
    for kind, row in TABLE.items():
        room.fill("queue_fault-fault-kind", kind)
        assert room.visitor.run(script) == ["", *dict.fromkeys(row.plain + row.stream)]
        takes_for = room.visitor.find("#queue_fault-fault-for").is_enabled()
        assert takes_for == row.takes_for
        assert row.meaning == room.visitor.read("#queue_fault-fault-hint")


def test_forms_and_filters_are_those_of_the_control_plane() -> None:
    media_type, source = room_files()[""]
    page = ParsedPage(source.decode())
    assert media_type == "text/html"
    assert page.misnested == []
    names = {found["name"] for name, found in page.elements if name in ("input", "select") and found.get("name")}
    assert {"key", "status", "provider", "match.stream", "balance", "error_rate", "advance"} <= names
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert set(page.values("for")) | set(page.values("aria-describedby")) <= set(ids)
    offered = [found["value"] for name, found in page.elements if name == "option"]
    assert {str(status) for status in FORCED} <= set(offered)


def test_no_other_page_may_frame_the_room_or_be_served_it(mock: Mock) -> None:
    assert mock.http.get(PREFIX).headers["location"] == f"{PREFIX}/"
    for path in room_files():
        served = mock.http.get(f"{PREFIX}/{path}")
        assert (served.status_code, served.content) == (200, room_files()[path][1])
        assert "unsafe" not in served.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in served.headers["content-security-policy"]
        assert served.headers["x-content-type-options"] == "nosniff"
        assert UNLIMITED not in served.text or path == ""
        assert mock.http.get(f"{PREFIX}/{path}", headers={"Host": "pages.example"}).status_code == 400
    assert mock.http.get(f"{PREFIX}/room/nothing.js").status_code == 404
    assert mock.control("requests")["entries"] == []


def test_a_page_of_another_origin_cannot_steer(room: Room, visitor: Visitor) -> None:
    script = """
    const [url, done] = [arguments[0], arguments[1]];
    const tries = ["application/json", "text/plain"].map(type => fetch(url,
      { method: "POST", headers: { "Content-Type": type }, body: '{"freeze": true}' }).then(a => a.status, () => 0));
    Promise.all(tries).then(done);
    """
    room.enter()
    foreign = room.mock.url.replace("127.0.0.1", "localhost")
    assert visitor.browser.execute_async_script(script, f"{foreign}{PREFIX}/clock") == [0, 0]
    assert not room.mock.control("clock")["frozen"]
