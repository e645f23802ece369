"""What a test holds in its hand: the mock, seen and steered under the test's own id."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from mock_server.contract.accounts import LOAD_TEST_KEY
from mock_server.contract.endpoints import TEST_PREFIX
from mock_server.edge.journal import TEST_RING_SIZE, Entry
from mock_server.http.control.accounts import LedgerView
from mock_server.http.control.incidents import MAX_FOR_S, Ended, IncidentView
from mock_server.http.control.journal import MAX_WAIT_S, Count, Requests, Waited
from mock_server.http.control.steering import ClockView
from mock_server.judge.coverage import Coverage
from mock_server.judge.verdict import Verdict, excused
from mock_server.kit.pytest_plugin.plane import ForgottenError, MockGoneError, Plane, RefusedError
from mock_server.kit.pytest_plugin.wanted import Wanted, listing, nearest, read_wanted, rule_words

__tracebackhide__ = True  # pytest's: a failure shows the line of the test

T = TypeVar("T")

SETTLES_WITHIN_S: Final = 1.0
"""A request enters the journal when it is over, which may be a moment after its client has what it waited for."""


class Clock:
    """The clock of one test; what it advances are simulated seconds."""

    def __init__(self, plane: Plane, test: str) -> None:
        self._plane = plane
        self._test = test

    def freeze(self) -> None:
        """Let time stand still."""
        self._steer({"freeze": True})

    def advance(self, seconds: float) -> None:
        """Jump ahead."""
        self._steer({"advance": seconds})

    def resume(self) -> None:
        """Let time run on from where it stands."""
        self._steer({"resume": True})

    def auto(self) -> None:
        """Let time stand still, but jump ahead whenever every call in flight only waits."""
        self._steer({"auto": True})

    @property
    def now(self) -> float:
        """Simulated seconds."""
        return self._plane.ask("GET", "clock", ClockView, self._test).now

    def _steer(self, change: Mapping[str, object]) -> None:
        self._plane.ask("POST", "clock", ClockView, self._test, body=change)


class StartedIncident:
    """An incident that goes on; a context manager that ends it."""

    def __init__(self, plane: Plane, test: str, number: int) -> None:
        self._plane = plane
        self._test = test
        self.number = number

    def end(self) -> None:
        """Heal it now."""
        self._plane.ask("DELETE", f"incidents/{self.number}", Ended, self._test)

    def __enter__(self) -> StartedIncident:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class Alive:
    """A block in which no queued fault strikes, and a call must be answered well. Mutable: when it began."""

    def __init__(self, mock: LlmMock) -> None:
        self._mock = mock
        self._since_unix_s = 0.0

    def __enter__(self) -> None:
        self._mock.control("DELETE", "faults")
        self._since_unix_s = time.time()

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is not None:
            error.add_note("llm_mock: the client does not work any more, though nothing was to fail")
            return
        self._mock.assert_answered_since(self._since_unix_s)


class LlmMock:
    """The mock as one test has it: limits, balances, faults, answers, incidents, clock and journal are the test's own.

    All that asks or steers raises :class:`RefusedError`, with the mock's own words, for what the mock refuses, and
    :class:`MockGoneError` where it does not answer. :class:`ForgottenError` says that the journal no longer holds all
    of the test's requests, where that could hide what is asked for. ``requests``, ``wait_for_requests`` and
    ``assert_called`` take criteria by the names of an :class:`Entry`'s fields, as ``status=502, stream=True``; those
    that the control plane filters by mean what they mean there.
    """

    api_key = LOAD_TEST_KEY
    """One without limits; the built-in keys with limits may be used as well."""

    def __init__(self, plane: Plane, test_id: str) -> None:
        self._plane = plane
        self.test_id = test_id
        self.clock = Clock(plane, test_id)
        self.before_reset: Callable[[], None] = lambda: None
        self._queued = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url}, world {self.world}>"

    @property
    def url(self) -> str:
        """Where the mock is, without the test id, as ``http://127.0.0.1:40613``."""
        return self._plane.url

    @property
    def base_url(self) -> str:
        """What a client takes for the API: calls that begin with it belong to this test."""
        return f"{self.url}{TEST_PREFIX}{self.test_id}/v1"

    @property
    def world(self) -> str:
        """What is simulated: a preset's name, or the path of a world file."""
        return self._plane.world

    def fail_next(
        self, what: int | str, *, times: int = 1, headers: Mapping[str, str] | None = None, **match: object
    ) -> None:
        """Let the next ``times`` matching calls fail: with an error status, or a fault in the words of X-Mock-Fault.

        ``match`` may name ``key``, ``text`` (a part of any message), ``provider``, ``model`` and ``stream``;
        ``headers`` come with a status, as ``{"Retry-After": "2"}``.
        """
        struck_with = {"fault": what} if isinstance(what, str) else {"code": what}
        rule = {**struck_with, "times": times, "match": match, "headers": dict(headers or {})}
        self._ask("POST", "faults", dict[str, Any], body=rule)
        self._queued = True

    def canned(self, *replies: str | Mapping[str, object], **match: object) -> None:
        """Answer matching calls with given texts, one after the other; the last one repeats.

        A reply is its text, or a mapping with what the control plane's replies may have, such as ``completion_tokens``
        and ``delay_s``. ``match`` may name ``text`` (the whole last user message), ``contains``, ``regex``, ``model``
        (a glob) and ``key``.
        """
        given = [{"text": reply} if isinstance(reply, str) else dict(reply) for reply in replies]
        self._ask("POST", "answers", dict[str, Any], body={"replies": given, "match": match})

    def incident(
        self, kind: str, *, match: str = "*", lasts_s: float = MAX_FOR_S, **settings: object
    ) -> StartedIncident:
        """Start an ``"outage"``, a ``"brownout"`` or ``"rate_limited"`` now, for simulated seconds or until ended.

        ``match`` is a glob on provider or provider/model; ``settings`` may be ``rate``, ``slow``, ``announced`` and
        ``ramp``. Use it with ``with`` to have it end.
        """
        begun = {"kind": kind, "match": match, "for": lasts_s, **settings}
        number = self._ask("POST", "incidents", IncidentView, body=begun).id
        assert number is not None
        return StartedIncident(self._plane, self.test_id, number)

    def requests(self, **criteria: object) -> list[Entry]:
        """The test's finished requests, in order of arrival. Raises :class:`ForgottenError` where some are gone."""
        wanted = self._checked(criteria)
        seen = self._seen()
        if seen.dropped:
            raise ForgottenError(f"{_forgotten(seen)}; control('GET', 'requests', limit=…) gives those that are")
        return [entry for entry in seen.entries if not wanted.differences(entry)]

    def wait_for_requests(self, n: int, *, timeout_s: float = 10.0, **criteria: object) -> list[Entry]:
        """Wait until ``n`` requests have finished, and give them all. AssertionError when the time is over before."""
        wanted = self._checked(criteria)
        found, seen = self._at_least(n, wanted, timeout_s)
        if len(found) >= n:
            return found
        said = f"{_counted(found)}{wanted} within {timeout_s:g} s, not {n}"
        if seen.dropped:
            raise ForgottenError(f"{said}, but {_forgotten(seen)}")
        raise AssertionError(f"{said}{self._stood_still()}; {nearest(wanted, seen.entries)}")

    def assert_called(
        self, *, times: int | None = None, timeout_s: float = SETTLES_WITHIN_S, **criteria: object
    ) -> list[Entry]:
        """Give the matching requests, of which there must be ``times``, or one at least.

        What is missing is waited for, ``timeout_s`` at most. Else an AssertionError shows the nearest requests, and in
        what each differs. :class:`ForgottenError` where requests that are no longer remembered may have matched too.
        """
        wanted = self._checked(criteria)
        found, seen = self._at_least(1 if times is None else times, wanted, timeout_s)
        if times is None and found:
            return found
        said = f"{_counted(found)}{wanted}, not {'any' if times is None else times}"
        if times is not None and len(found) > times:
            raise AssertionError(f"{said}:\n{listing(found)}")
        if seen.dropped:
            raise ForgottenError(f"whether there were {times or 'any'}{wanted} cannot be told: {_forgotten(seen)}")
        if len(found) == times:
            return found
        raise AssertionError(f"{said}{self._stood_still()}; {nearest(wanted, seen.entries)}")

    def alive(self) -> Alive:
        """With this around a call after a fault: does the client still work?

        What is queued to strike the test's calls is dropped; incidents go on. AssertionError where no call of the block
        was answered well; an exception of the client's passes, with a note.
        """
        return Alive(self)

    def assert_answered_since(self, unix_s: float) -> None:
        """AssertionError unless a request that arrived since then was answered well."""
        good = read_wanted({"status": 200, "ending": "complete"})
        deadline = time.monotonic() + SETTLES_WITHIN_S
        while True:
            entries = self._seen().entries
            since = [entry for entry in entries if entry.arrived_unix_s >= unix_s]
            if any(not good.differences(entry) for entry in since):
                return
            left = deadline - time.monotonic()
            if left <= 0 or not self._plane.waits:
                said = "no call was answered well, though nothing was to fail"
                raise AssertionError(f"{said}; {nearest(good, since)}")
            self._at_least(len(entries) + 1, read_wanted({}), left)

    def ledger(self) -> LedgerView:
        """The books of the accounts that the test used: what was charged and reserved, and whether the sums agree."""
        return self._ask("GET", "ledger", LedgerView)

    def verdict(
        self, *, retries: bool = False, waived: Mapping[str, str] | None = None, without: Collection[str] = ()
    ) -> Verdict:
        """How the client behaved in this test, rule by rule.

        ``retries``: it promises to try again. ``waived`` gives reasons for rules that are not to count, ``without``
        capabilities that it does without. ValueError for a rule or capability that there is not.
        """
        judged = self._ask("GET", "verdict", Verdict, {"retries": retries})
        return excused(judged, waived or {}, without)

    def coverage(self, *, streaming: bool = True) -> Coverage:
        """Which errors and faults this test met; without ``streaming``, those of streams do not count."""
        return self._ask("GET", "coverage", Coverage, {"streaming": streaming})

    def attest(self, request_id: str, outcome: str) -> None:
        """Tell what the application made of an answer, ``"ok"``, ``"error"``, ``"partial"`` or ``"killed"``."""
        self.assert_called(request_id=request_id)
        self._ask("POST", f"outcomes/{request_id}", dict[str, Any], body={"outcome": outcome})

    def control(self, method: str, path: str, body: object = None, **query: object) -> Any:
        """Ask the control plane anything else, as ``control("PUT", "accounts/sk-test-free", {"balance": 10})``."""
        return self._plane.ask(method, path, dict[str, Any], self.test_id, query, body)

    def reset(self) -> None:
        """Begin anew: state, clock, faults, answers, incidents and journal of this test."""
        self.before_reset()
        self._ask("POST", "reset", dict[str, Any])
        self._queued = False

    def never_struck(self) -> list[str]:
        """What ``fail_next`` queued that has not struck once, in words; nothing where the mock is gone."""
        try:
            queued = self._unused() if self._queued else []
        except (MockGoneError, RefusedError):
            return []
        return [rule_words(fault) for fault in queued if not fault["struck"]]

    def section(self) -> tuple[str, str]:
        """Title and text of what the mock saw of the test, for the report of its failure."""
        title = f"llm_mock: journal of {self.test_id}"
        try:
            seen = self._seen()
            unused = self._unused()
            verdict = self.verdict()
        except (MockGoneError, RefusedError) as error:
            return title, f"not to be had: {error}"
        lines = [f"{self.base_url}, world {self.world}: {_counted(seen.entries)}"]
        lines += [_forgotten(seen)] if seen.dropped else []
        lines += [listing(seen.entries)] if seen.entries else []
        lines += [f"queued and not used up: {rule_words(fault)}" for fault in unused]
        broken = [rule for rule in verdict.rules if rule.result in ("FAIL", "WARN")]
        lines += [f"verdict: {rule.result} {rule.rule}: {rule.said}" for rule in broken]
        return title, "\n".join(lines)

    def _ask(
        self, method: str, path: str, wanted: type[T], query: Mapping[str, Any] | None = None, body: object = None
    ) -> T:
        return self._plane.ask(method, path, wanted, self.test_id, query or {}, body)

    def _checked(self, criteria: Mapping[str, object]) -> Wanted:
        """Criteria that some request could match, as far as the mock knows."""
        wanted = read_wanted(criteria)
        if wanted.filters:
            self._ask("GET", "requests/count", Count, wanted.filters)
        return wanted

    def _unused(self) -> list[dict[str, Any]]:
        faults = self._ask("GET", "faults", dict[str, Any])["faults"]
        return [fault for fault in faults if fault["source"] == "queued" and not fault["spent"]]

    def _seen(self) -> Requests:
        """The test's finished requests, in order of arrival."""
        seen = self._ask("GET", "requests", Requests, {"limit": TEST_RING_SIZE})
        newest_last = seen.entries[::-1]
        return replace(seen, entries=sorted(newest_last, key=lambda entry: entry.arrived_unix_s))

    def _at_least(self, n: int, wanted: Wanted, timeout_s: float) -> tuple[list[Entry], Requests]:
        """The matching requests, and all, once ``n`` match or the time is over."""
        deadline = time.monotonic() + timeout_s
        while True:
            seen = self._seen()
            found = [entry for entry in seen.entries if not wanted.differences(entry)]
            left = deadline - time.monotonic()
            if len(found) >= n or left <= 0 or not self._plane.waits or len(seen.entries) >= TEST_RING_SIZE:
                return found, seen
            query = {"count": len(seen.entries) + 1, "timeout": f"{min(left, MAX_WAIT_S):.3f}"}
            self._ask("GET", "requests/wait", Waited, query)

    def _stood_still(self) -> str:
        """What kept requests from coming while this thread waited, if anything."""
        if not self._plane.waits:
            return " (in process nothing comes while a test waits: await the client's calls first)"
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return ""
        return " (this thread's event loop stood still meanwhile: use `await asyncio.to_thread(…)` to wait beside it)"


def _counted(entries: Sequence[Entry]) -> str:
    return f"{len(entries)} request{'' if len(entries) == 1 else 's'}"


def _forgotten(seen: Requests) -> str:
    return f"{seen.dropped:,} earlier requests are no longer remembered, only the last {seen.remembered_at_most:,}"
