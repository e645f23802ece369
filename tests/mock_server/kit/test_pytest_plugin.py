"""The pytest plugin, in suites that real pytest processes run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mock_server.kit.suites import run_pytest

EVERYTHING = """
def test_fails_and_answers_as_told(llm_mock):
    llm_mock.fail_next(429, times=2, headers={"Retry-After": "7"}, text="hello")
    llm_mock.canned("Sunny.", {"text": "Rain.", "completion_tokens": 9}, contains="weather")
    assert [call(llm_mock).headers["retry-after"] for _ in range(2)] == ["7", "7"]
    assert [call(llm_mock, "the weather").json()["response"] for _ in range(3)] == ["Sunny.", "Rain.", "Rain."]
    first, second = llm_mock.assert_called(times=2, status=429, fault="code=429")
    assert first.request_id == llm_mock.requests()[0].request_id
    assert llm_mock.ledger().balanced
    assert llm_mock.coverage().met == 3

def test_sees_that_a_client_still_works(llm_mock):
    llm_mock.fail_next(502, times=9)
    assert call(llm_mock).status_code == 502
    with llm_mock.alive():
        assert call(llm_mock).status_code == 200
    with pytest.raises(AssertionError, match="no call was answered well.* there was no request at all"):
        with llm_mock.alive():
            pass
    with pytest.raises(AssertionError, match=r"(?s)no call was answered well.* status: wanted 200, was 401"):
        with llm_mock.alive():
            call(llm_mock, key="sk-test-revoked")

def test_begins_with_nothing_of_the_others(llm_mock):
    assert call(llm_mock).status_code == 200
    assert len(llm_mock.requests()) == llm_mock.coverage().requests == 1

def test_breaks_streams(llm_mock):
    llm_mock.fail_next("reset;stage=mid_stream;after=1", stream=True)
    assert call(llm_mock).status_code == 200
    with pytest.raises(httpx.ReadError):
        call(llm_mock, stream=True)
    (broken,) = llm_mock.wait_for_requests(1, ending="fault", struck=True)
    llm_mock.attest(broken.request_id, "error")
    assert llm_mock.requests(attested="error")

def test_has_incidents_that_end(llm_mock):
    with llm_mock.incident("outage"):
        assert call(llm_mock).status_code == 502
    assert call(llm_mock).status_code == 200

def test_has_a_clock_of_its_own(llm_mock):
    llm_mock.clock.freeze()
    assert call(llm_mock, key="sk-test-limited").status_code == 200
    assert call(llm_mock, key="sk-test-limited").status_code == 429
    before = llm_mock.clock.now
    llm_mock.clock.advance(61)
    assert llm_mock.clock.now == pytest.approx(before + 61)
    assert call(llm_mock, key="sk-test-limited").status_code == 200
    llm_mock.clock.auto()
    llm_mock.clock.resume()
    llm_mock.assert_called(times=3, key="sk-test-limited")

def test_judges(llm_mock):
    call(llm_mock, key="sk-test-revoked")
    assert {rule.rule for rule in llm_mock.verdict(retries=True, without=["streaming"]).rules}
    with pytest.raises(ValueError, match="did you mean 'no_backoff'"):
        llm_mock.verdict(waived={"no_backof": "why not"})

def test_steers_what_has_no_method(llm_mock):
    assert llm_mock.control("PUT", "accounts/sk-test-free", {"balance": 10})["balance"] == 10
    assert call(llm_mock, key="sk-test-free").status_code == 402

def test_shows_no_key(llm_mock):
    call(llm_mock)
    assert llm_mock.requests(key=llm_mock.api_key)
    assert llm_mock.api_key not in repr(llm_mock) + repr(llm_mock.requests()) + str(llm_mock.section())

@pytest.mark.llm_world("realistic", seed=3, time_scale=0.01)
def test_has_the_world_it_asks_for(llm_mock):
    health = llm_mock.control("GET", "health")
    assert (health["world"], health["seed"], health["time_scale"]) == ("realistic", 3, 0.01)

@pytest.mark.llm_world("own.toml")
class TestWorldFile:
    def test_lies_beside_the_test(self, llm_mock):
        assert call(llm_mock).json()["response"] == "from the file"
        assert llm_mock.world.endswith("own.toml")

@pytest.mark.parametrize("text", ["a b/c", "\\u5929\\u6c14?#%", "x" * 300])
def test_may_have_any_name(llm_mock, text):
    assert call(llm_mock).status_code == 200
    llm_mock.assert_called(times=1)

def test_waits_beside_the_loop(llm_mock):
    async def both():
        body = {"messages": [{"role": "user", "content": "hello"}]}
        async with httpx.AsyncClient(base_url=llm_mock.base_url, verify=False) as client:
            sent = asyncio.create_task(client.post("/llm/auto", json=body))
            assert len(await asyncio.to_thread(llm_mock.wait_for_requests, 1)) == 1
            await sent
    asyncio.run(both())
"""
OWN_WORLD = 'extends = "instant"\n[[answers]]\nreplies = [{ text = "from the file" }]\n'

WRONG = """
@pytest.fixture
def three(llm_mock):
    llm_mock.fail_next(502, times=3)
    call(llm_mock)
    call(llm_mock, stream=True)
    call(llm_mock, key="sk-test-revoked")
    return llm_mock

def test_too_few(three):
    three.assert_called(times=2, status=502, stream=True, timeout_s=0)

def test_too_many(three):
    three.assert_called(times=1, status=502)

def test_none(llm_mock):
    llm_mock.assert_called(timeout_s=0)

def test_waited(three):
    three.wait_for_requests(4, timeout_s=0.01)

def test_on_a_loop(three):
    async def wait():
        three.wait_for_requests(4, timeout_s=0.01)
    asyncio.run(wait())

def test_name(three):
    three.requests(staus=502)

def test_impossible(three):
    three.assert_called(times=0, status=418)

def test_vacuous(three):
    three.assert_called(status=None)

def test_not_alive(llm_mock):
    with llm_mock.alive():
        raise OSError("broken for ever")

def test_silent(llm_mock):
    with llm_mock.alive():
        pass

def test_fault(three):
    three.fail_next("rest")

@pytest.mark.llm_world("calmm")
def test_world(llm_mock): ...

@pytest.mark.llm_world()
def test_no_world(llm_mock): ...

def test_died(llm_mock):
    os.kill(mock_pid(llm_mock), 9)
    call_failed = pytest.raises(httpx.TransportError, call, llm_mock)
    llm_mock.requests()

def test_after_that(llm_mock):
    assert call(llm_mock).status_code == 200
"""
SAID = {
    "test_too_few": "AssertionError: 1 request with status=502, stream=True, not 2; the nearest of 2 others:",
    "test_too_many": "AssertionError: 2 requests with status=502, not 1:",
    "test_none": "AssertionError: 0 requests, not any; there was no request at all",
    "test_waited": "AssertionError: 3 requests within 0.01 s, not 4; there were no other requests",
    "test_on_a_loop": "not 4 (this thread's event loop stood still meanwhile: use `await asyncio.to_thread(…)`",
    "test_name": "TypeError: requests have no 'staus': did you mean 'status'? there are request_id,",
    "test_impossible": "status: no answer has 418; there are",
    "test_vacuous": "TypeError: status=None matches every request; leave it out",
    "test_not_alive": "llm_mock: the client does not work any more, though nothing was to fail",
    "test_silent": "AssertionError: no call was answered well, though nothing was to fail; there was no request at all",
    "test_fault": "'rest'",
    "test_world": "llm_mock: the mock of world 'calmm' could not start: it ended with exit code 2 before it was ready: "
    "mock-server: no world 'calmm': did you mean 'calm'?",
    "test_no_world": "llm_mock: the marker llm_world missing 1 required positional argument: 'name'; give llm_world(",
    "test_died": "has ended by itself (signal 9)",
}


def part(output: str, name: str) -> str:
    """What pytest says of one test."""
    found = re.search(
        rf"^_+ (?:ERROR at setup of )?{name} _+$(.*?)(?=^_{{5}}|^=====)", output, re.MULTILINE | re.DOTALL
    )
    assert found is not None, output
    return found[1]


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The output of a suite in which all but one test fails."""
    code, output = run_pytest(tmp_path_factory.mktemp("wrong"), WRONG)
    assert code == 1, output
    assert f"{len(SAID) - 2} failed, 1 passed, 2 errors" in output
    return output


def test_a_test_has_all_of_the_mock_in_hand(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN_WORLD)
    code, output = run_pytest(tmp_path, EVERYTHING)
    assert code == 0, output
    assert "15 passed" in output


@pytest.mark.parametrize("name", SAID)
def test_what_goes_wrong_is_said_in_a_line(wrong: str, name: str) -> None:
    said = part(wrong, name)
    assert SAID[name] in said
    assert "During handling" not in said
    assert "mock_server/kit" not in said  # it points at the test's own line


def test_a_failed_assertion_shows_the_nearest_requests_and_the_difference(wrong: str) -> None:
    shown = part(wrong, "test_too_few").partition("nearest of 2 others:")[2].partition("test_suite.py")[0]
    nearest, farther = re.split(r"\n(?=E\s+req_)", shown)[1:]
    assert re.search(r"req_\w{7} .* plain key …ited: 502 ALL_PROVIDERS_FAILED fault code=502 \(struck\)", nearest)
    assert re.findall(r"(\w+: wanted .*)", nearest) == ["stream: wanted True, was False"]
    assert ": 401 INVALID_API_KEY" in farther
    assert "status: wanted 502, was 401" in farther


def test_the_journal_of_a_failed_test_is_attached_to_its_report(wrong: str) -> None:
    journal = part(wrong, "test_too_many").partition("- llm_mock: journal of test_too_many-")[2]
    assert len(re.findall(r"^  req_\w{7} ", journal, re.MULTILINE)) == 3
    assert "queued and not used up: 502, 2 of 3 struck" in journal
    assert "sk-test-" not in journal
    assert "not to be had: " in part(wrong, "test_died")
    assert "journal of" not in part(wrong, "test_world")


FORGETS = """
def test_says_what_it_no_longer_knows(llm_mock):
    with httpx.Client(base_url=llm_mock.base_url, verify=False) as client:
        for _ in range(1003):
            client.get("/llm/auto")
    llm_mock.assert_called(status=405)
    llm_mock.wait_for_requests(1000)
    gone = "3 earlier requests are no longer remembered, only the last 1,000"
    for claim in (
        lambda: llm_mock.assert_called(times=0, status=401),
        lambda: llm_mock.assert_called(times=1000),
        lambda: llm_mock.assert_called(status=401, timeout_s=0),
        lambda: llm_mock.wait_for_requests(1003, timeout_s=0.01),
        lambda: llm_mock.requests(),
    ):
        with pytest.raises(RuntimeError, match=gone):
            claim()
    with pytest.raises(AssertionError, match="not 2"):
        llm_mock.assert_called(times=2, status=405)
    assert gone in llm_mock.section()[1]
    note = "3 earlier requests no longer remembered: not judged"
    assert note in llm_mock.verdict().notes
    assert note in llm_mock.coverage().notes
"""


def test_what_is_no_longer_remembered_proves_nothing(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, FORGETS, "-p", "no:locust")
    assert code == 0, output


IN_PROCESS = """
async def ask(mock, base="https://api.example.com/v1", **more):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=mock), base_url=base) as client:
        body = {"messages": [{"role": "user", "content": "hello"}], **more.pop("body", {})}
        return await client.post("/llm/auto", json=body, headers={"Authorization": f"Bearer {mock.api_key}", **more})

def test_answers_whatever_the_base_url(llm_mock_app):
    llm_mock_app.fail_next(502)
    llm_mock_app.canned("Sunny.")
    assert asyncio.run(ask(llm_mock_app)).status_code == 502
    assert asyncio.run(ask(llm_mock_app, llm_mock_app.base_url)).json()["response"] == "Sunny."
    llm_mock_app.assert_called(times=1, status=502)
    assert len(llm_mock_app.requests()) == 2

def test_is_steered_beside_a_running_loop(llm_mock_app):
    async def steer():
        llm_mock_app.clock.freeze()
        waiting = asyncio.create_task(ask(llm_mock_app, **{"X-Mock-Fault": "delay;for=60"}))
        while not llm_mock_app.control("GET", "health")["in_flight"]:
            await asyncio.sleep(0)
        llm_mock_app.clock.advance(61)
        assert (await asyncio.wait_for(waiting, 10)).status_code == 200
        assert llm_mock_app.verdict().calls == 1
    asyncio.run(steer())

def test_reads_a_stream_whole(llm_mock_app):
    llm_mock_app.fail_next("eof;after=1")
    assert "[DONE]" not in asyncio.run(ask(llm_mock_app, body={"stream": True})).text

@pytest.mark.parametrize("fault", ["reset", "fin", "truncated_json", "stall", "done_then_hang", "dribble",
                                   "framing=bytewise", "eof;framing=split_utf8", "delay;for=1;stage=mid_stream"])
def test_refuses_what_it_cannot_show(llm_mock_app, fault):
    said = "cannot be seen in process: .*use llm_mock"
    with pytest.raises(RuntimeError, match=said):
        llm_mock_app.fail_next(fault)
    with pytest.raises(RuntimeError, match=said):
        llm_mock_app.canned({"text": "a", "fault": fault})
    with pytest.raises(RuntimeError, match=said):
        asyncio.run(ask(llm_mock_app, **{"X-Mock-Fault": fault}))

def test_does_not_wait_for_what_cannot_come(llm_mock_app):
    with pytest.raises(AssertionError, match="in process nothing comes while a test waits"):
        llm_mock_app.wait_for_requests(1, timeout_s=1000)

@pytest.mark.llm_world("realistic")
def test_paced(llm_mock_app): ...
"""


def test_in_process_it_shows_what_it_can_and_refuses_the_rest(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, IN_PROCESS)
    assert code == 1, output
    assert "13 passed, 1 error" in output
    assert "llm_mock_app: world 'realistic' has latencies, and in process a stream's pace cannot be" in output


def test_pytest_starts_without_paying_for_the_mock() -> None:
    source = "import sys, pytest; before = set(sys.modules); import mock_server.kit.pytest_plugin"
    done = subprocess.run(
        [sys.executable, "-c", f"{source}; print(*sorted(set(sys.modules) - before))"], capture_output=True, check=True
    )
    assert done.stdout.split() == [b"mock_server", b"mock_server.kit", b"mock_server.kit.pytest_plugin"]
