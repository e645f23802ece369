"""`Retry-After` of a full house is never earlier than true, under every fault and through every failover."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import inf, nextafter

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mock_server.config import build_world
from mock_server.contract.errors import RATE_LIMIT_EXCEEDED, Refusal
from mock_server.core.engine import Engine
from mock_server.core.faults import KINDS, STAGES, FaultError, check_fits, parse_fault
from mock_server.core.limits import DAY_S
from mock_server.core.rules import FaultRule
from mock_server.core.session import Session
from mock_server.edge.admission import decide
from mock_server.edge.exchange import Exchange, Exchanges
from mock_server.edge.moves import Move, Moves, Until
from mock_server.edge.notes import Notes
from mock_server.edge.request import Head
from mock_server.edge.script import Script
from tests.mock_server.wire import chat

MODELS = "".join(
    f"""
[models."{name}"]
ttft = {{ law = "lognormal", median_ms = 900.0, p95_ms = 20_000.0 }}
tokens_per_s = {pace}
window = 100_000
price_in = 1.0
price_out = 1.0
quality = 0.5
error_rate = {failing}
rate_limit_rate = 0.1
"""
    for name, pace, failing in (("a/one", 5.0, 0.6), ("a/two", 9.0, 0.6), ("b/one", 7.0, 0.5), ("c/one", 3.0, 0.1))
)
WORLD = f"""
breaker = {{ failures = 2, cooldown_s = 8.0 }}
gateway = {{ attempt_timeout_s = 6.0 }}
failure_mix = {{ error = 0.4, timeout = 0.6 }}
{MODELS}
[plans.pair]
concurrent = 2
[accounts.sk-pair]
plan = "pair"
"""
ENGINE = Engine(build_world(WORLD, "full.toml"), 0, 0.0)


def faults() -> Iterator[str]:
    """Every kind at every stage at which it can strike."""
    for kind in KINDS:
        for stage in STAGES:
            for more in ("", ";for=3.5"):
                try:
                    yield parse_fault(f"{kind};stage={stage}{more}").text()
                except FaultError:
                    continue


FAULTS = ["", *faults()]


class Played:
    """A call whose script is played in virtual time; its client stays. Mutable: the move that is to be made next."""

    def __init__(self, exchanges: Exchanges, text: str, fault: str, stream: bool, test: str, now: float) -> None:
        lines = [(b"authorization", b"Bearer sk-pair"), (b"content-type", b"application/json")]
        if fault and check_fits(parse_fault(fault), stream=stream) is None:
            lines.append((b"x-mock-fault", fault.encode()))
        if test:
            lines.append((b"x-mock-test", test.encode()))
        head = Head(lines)
        self.exchange: Exchange = exchanges.open(now, Notes(head, 0.0, 0.0))
        body = chat(text, stream=stream, max_tokens=30, strategy={"max_attempts": 4})
        self.decision = decide(self.exchange, head, b"", json.dumps(body).encode())
        self.now = now
        self._moves: Moves = Script(self.exchange, now).moves(self.decision)
        self._next: Move | None = next(self._moves)

    def play_until(self, end: float) -> None:
        """Make all moves that are due by then."""
        while self._next is not None:
            if isinstance(self._next, Until):
                if self._next.at > end:
                    return
                self.now = max(self.now, self._next.at)
            try:
                self._next = self._moves.send(self.now)
            except StopIteration:
                self._next = None
                self.exchange.close(self.now)

    @property
    def house_was_full(self) -> bool:
        return isinstance(self.decision, Refusal) and self.decision.kind is RATE_LIMIT_EXCEEDED


call = st.tuples(st.text("abcdef", min_size=1, max_size=3), st.sampled_from(FAULTS), st.booleans())


@given(call, call, st.floats(0, 5), st.floats(0, 5), st.booleans())
@example(("a", "delay;for=3.5", False), ("b", "dribble;for=3.5", False), 0.0, 0.0, False)
@example(("a", "stall", False), ("b", "stall", False), 0.0, 0.0, False)
@settings(max_examples=400)
def test_after_it_the_call_is_admitted(
    first: tuple[str, str, bool], second: tuple[str, str, bool], later: float, asks: float, queued: bool
) -> None:
    test = "test"
    ENGINE.reset(test, 0.0)
    if queued:
        ENGINE.scope(test, 0.0).queued.add(FaultRule(fault="delay;for=2", times=1))
    exchanges = Exchanges(ENGINE, 1.0, lambda: 0.0)
    one = Played(exchanges, *first, test, 0.0)
    one.play_until(later)
    two = Played(exchanges, *second, test, later)
    now = later + asks
    for each in (one, two):
        each.play_until(now)
    asked = Played(exchanges, "third", "", False, test, now)
    if not asked.house_was_full:
        return
    refused = asked.decision
    assert isinstance(refused, Refusal)
    assert refused.retry_after is not None
    if refused.retry_after >= DAY_S:
        assert any("stall" in fault for _, fault, _ in (first, second))  # which only its client may end
        return
    again = nextafter(now + refused.retry_after, inf)
    for each in (one, two):
        each.play_until(again)
    assert not Played(exchanges, "third", "", False, test, again).house_was_full


def test_it_is_no_later_than_true_where_all_is_known() -> None:
    sound = WORLD.replace("attempt_timeout_s = 6.0", "attempt_timeout_s = 600.0")
    engine = Engine(build_world(f"failure_scale = 0.0\n{sound}", "full.toml"), 0, 0.0)
    exchanges = Exchanges(engine, 1.0, lambda: 0.0)
    engine.scope("", 0.0).queued.add(FaultRule(fault="delay;for=2"))
    calls = [Played(exchanges, text, "", True, "", 0.0) for text in "bc"]
    refused = Played(exchanges, "third", "", False, "", 0.0).decision
    assert isinstance(refused, Refusal)
    attempts = [each.decision.attempt for each in calls if isinstance(each.decision, Session)]
    assert refused.retry_after == min(attempt.ends_at for attempt in attempts) + 2


def test_a_stalled_call_keeps_its_place_and_its_reservation_until_it_ends() -> None:
    exchanges, test = Exchanges(ENGINE, 1.0, lambda: 0.0), "stalled"
    stalled = Played(exchanges, "hello", "stall;stage=before_headers;for=100", False, test, 0.0)
    account = ENGINE.scope(test, 0.0).account("sk-pair", 0.0)
    assert account is not None
    for moment, reserved in ((0.0, True), (99.0, True), (100.0, False)):
        stalled.play_until(moment)
        assert bool(account.ledger.reserved) is bool(account.in_flight) is reserved
    assert (account.ledger.charged, stalled.exchange.ending) == (0, "fault")
