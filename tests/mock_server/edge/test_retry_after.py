"""`Retry-After` is never earlier than true, under every fault and through every failover."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import inf, nextafter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mock_server.config import build_world
from mock_server.contract.errors import RATE_LIMIT_EXCEEDED, Refusal
from mock_server.core.account import Account
from mock_server.core.engine import Engine
from mock_server.core.faults import KINDS, NO_FAULT, STAGES, FaultError, check_fits, parse_fault
from mock_server.core.limits import DAY_S
from mock_server.core.rules import FaultRule, Match
from mock_server.core.session import Session
from mock_server.edge.admission import decide
from mock_server.edge.exchange import Exchange, Exchanges
from mock_server.edge.moves import End, Fin, Move, Moves, Reset, Until
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
[plans.tokens]
concurrent = 3
tpm = 2_000
[accounts.sk-pair]
plan = "pair"
[accounts.sk-tokens]
plan = "tokens"
"""
ENGINE = Engine(build_world(WORLD, "full.toml"), 0, 0.0)
PATIENT = WORLD.replace("attempt_timeout_s = 6.0", "attempt_timeout_s = 600.0")
SOUND = Engine(build_world(f"failure_scale = 0.0\n{PATIENT}", "full.toml"), 0, 0.0)


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

    def __init__(
        self,
        exchanges: Exchanges,
        text: str,
        fault: str,
        stream: bool,
        test: str,
        now: float,
        key: str = "sk-pair",
    ) -> None:
        lines = [(b"authorization", f"Bearer {key}".encode()), (b"content-type", b"application/json")]
        if fault and check_fits(parse_fault(fault), stream=stream) is None:
            lines.append((b"x-mock-fault", fault.encode()))
        if test:
            lines.append((b"x-mock-test", test.encode()))
        head = Head(lines)
        self.exchange: Exchange = exchanges.open(now, Notes(head, 0.0, 0.0))
        length = {"max_tokens": 30} if key == "sk-pair" else {}  # the others' answers are as long as they come
        body = chat(text, stream=stream, strategy={"max_attempts": 4}, **length)
        self.decision = decide(self.exchange, head, b"", json.dumps(body).encode())
        self.now = now
        self._moves: Moves = Script(self.exchange, now).moves(self.decision)
        self._next: Move | None = next(self._moves)

    def play_until(self, end: float) -> None:
        """Make all moves that are due by then."""
        for _ in self.moves(end):
            pass

    def moves(self, end: float = inf) -> Iterator[Move]:
        """Every move that is due by then, as it is made."""
        while self._next is not None:
            if isinstance(self._next, Until):
                if self._next.at > end:
                    return
                self.now = max(self.now, self._next.at)
            yield self._next
            try:
                self._next = self._moves.send(self.now)
            except StopIteration:
                self._next = None
                self.exchange.close(self.now)

    @property
    def session(self) -> Session:
        """What it was admitted as."""
        assert isinstance(self.decision, Session)
        return self.decision

    @property
    def account(self) -> Account:
        assert self.exchange.account is not None
        return self.exchange.account

    @property
    def next_at(self) -> float:
        """When its next move is due."""
        return inf if self._next is None else self._next.at if isinstance(self._next, Until) else self.now

    @property
    def house_was_full(self) -> bool:
        return isinstance(self.decision, Refusal) and self.decision.kind is RATE_LIMIT_EXCEEDED

    @property
    def is_planned(self) -> bool:
        """Whether it is known to the moment when it ends."""
        session, fault = self.decision, self.exchange.fault or NO_FAULT
        return (
            isinstance(session, Session)
            and session.attempt.failure is None
            and fault.kind in (None, "delay", "dribble")
        )

    @property
    def retry_after(self) -> int:
        """What the answer says, in seconds; 0 if nothing."""
        assert isinstance(self.decision, Refusal)
        headers = dict(self.exchange.refusal(self.decision, self.now).headers)
        return int(headers.get(b"retry-after", b"0"))


def pass_time(playing: list[Played], end: float) -> None:
    """Make all moves that are due by then, in the order in which time brings them about."""
    while playing and (first := min(playing, key=lambda each: each.next_at)).next_at <= end:
        first.play_until(first.next_at)


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
        assert any("stall" in fault or "hang" in fault for _, fault, _ in (first, second))  # which its client may end
        return
    again = nextafter(now + refused.retry_after, inf)
    for each in (one, two):
        each.play_until(again)
    assert not Played(exchanges, "third", "", False, test, again).house_was_full


rules = st.lists(
    st.builds(
        FaultRule,
        match=st.builds(Match, provider=st.sampled_from("abc")),
        fault=st.sampled_from(FAULTS[1:]),
        times=st.sampled_from([None, 1]),
    )
    | st.builds(FaultRule, match=st.just(Match(provider="b")), code=st.just(500), every=st.just(2))
    | st.builds(FaultRule, match=st.just(Match(model="c/one")), fault=st.just("delay;for=9"), rate=st.just(0.5))
    | st.builds(
        FaultRule, match=st.just(Match(provider="a")), fault=st.just("dribble"), hits=st.just(1), of=st.just(3)
    ),
    max_size=3,
)
TEXTS = [f"{text} {number}" for number in range(20) for text in ("Prove theorem", "Hello", "Write code for")]
long_calls = st.lists(st.tuples(st.sampled_from(TEXTS), st.sampled_from(FAULTS), st.booleans()), min_size=1, max_size=4)


@given(long_calls, rules, st.lists(st.floats(0, 20), min_size=4, max_size=4), st.sampled_from(["sk-pair", "sk-tokens"]))
@settings(max_examples=500)
def test_who_comes_back_to_the_second_is_admitted_and_no_sooner_where_all_is_known(
    calls: list[tuple[str, str, bool]], rules: list[FaultRule], gaps: list[float], key: str
) -> None:
    test, now = "test", 0.0
    ENGINE.reset(test, now)
    exchanges, queued = Exchanges(ENGINE, 1.0, lambda: 0.0), ENGINE.scope(test, now).queued
    for rule in rules:
        queued.add(rule)
    playing: list[Played] = []
    for (text, fault, stream), gap in zip(calls, gaps, strict=False):
        now += gap
        pass_time(playing, now)
        playing.append(Played(exchanges, text, fault, stream, test, now, key))
    asked = Played(exchanges, "third", "", False, test, now, key)
    if not asked.house_was_full or asked.retry_after >= DAY_S:
        return
    again = now + asked.retry_after
    if key == "sk-pair" and not rules and asked.retry_after > 1 and all(each.is_planned for each in playing):
        pass_time(playing, again - 1)
        assert Played(exchanges, "third", "", False, test, again - 1, key).house_was_full
    pass_time(playing, again)
    assert not Played(exchanges, "third", "", False, test, again, key).house_was_full


def test_it_is_no_later_than_true_where_all_is_known() -> None:
    exchanges = Exchanges(SOUND, 1.0, lambda: 0.0)
    SOUND.scope("", 0.0).queued.add(FaultRule(fault="delay;for=2"))
    calls = [Played(exchanges, text, "", True, "", 0.0) for text in "bc"]
    refused = Played(exchanges, "third", "", False, "", 0.0).decision
    assert isinstance(refused, Refusal)
    attempts = [each.decision.attempt for each in calls if isinstance(each.decision, Session)]
    assert refused.retry_after == min(attempt.ends_at for attempt in attempts) + 2


def test_it_knows_what_rules_about_the_route_will_do_after_failover() -> None:
    down = PATIENT.replace("error_rate = 0.6", "error_rate = 1.0").replace("error_rate = 0.5", "error_rate = 0.0")
    single = down.replace("rate_limit_rate = 0.1", "").replace("concurrent = 2", "concurrent = 1")
    engine = Engine(build_world(single, "down.toml"), 0, 0.0)
    exchanges = Exchanges(engine, 1.0, lambda: 0.0)
    engine.scope("", 0.0).queued.add(FaultRule(match=Match(provider="b"), fault="delay;for=40;stage=mid_stream"))
    call = Played(exchanges, "one", "", True, "", 0.0)
    refused = Played(exchanges, "other", "", False, "", 0.0).decision
    pass_time([call], 5_000.0)
    assert isinstance(refused, Refusal)
    assert [step.provider for step in call.session.steps] == ["a", "a", "b"]
    assert refused.retry_after == call.session.attempt.ends_at + 40


@pytest.mark.parametrize(
    ("fault", "stream", "told"),
    [
        ("stall;stage=before_headers", False, False),
        ("stall;stage=before_usage", True, False),
        ("stall;stage=before_done", True, True),
        ("done_then_hang", True, True),
    ],
)
def test_a_stalled_call_keeps_its_place_and_its_reservation_until_it_ends(fault: str, stream: bool, told: bool) -> None:
    exchanges, test = Exchanges(SOUND, 1.0, lambda: 0.0), f"stalled-by-{fault}"
    call = Played(exchanges, "hello", f"{fault};for=100", stream, test, 0.0)
    began = 0.0 if "before_headers" in fault else call.session.attempt.ends_at
    account, used = call.account, call.session.answer().usage.total_tokens
    for moment, held in ((0.0, True), (began + 99.9, True), (began + 100.0, False)):
        call.play_until(moment)
        assert bool(account.ledger.reserved) is bool(account.in_flight) is held
        assert account.ledger.charged == (0 if held or not told else used)
    assert call.exchange.ending == "fault"
    assert [step.result for step in call.session.steps] == ["ok" if told else "struck"]


@pytest.mark.parametrize(
    ("fault", "stream"),
    [
        ("reset;stage=mid_stream", True),
        ("fin;stage=before_done", True),
        ("stall;for=2;stage=mid_stream", True),
        ("done_then_hang;for=2", True),
        ("error_event", True),
        ("reset", False),
        ("reset;stage=before_first_token", False),
        ("truncated_json", False),
    ],
)
def test_a_broken_call_gives_up_its_place_before_its_connection_is_broken(fault: str, stream: bool) -> None:
    exchanges, test = Exchanges(SOUND, 1.0, lambda: 0.0), f"broken-by-{fault}"
    call = Played(exchanges, "hello", fault, stream, test, 0.0)
    outlook = call.session.outlook()
    last: Move | None = None
    for move in call.moves():
        if isinstance(move, Reset | Fin) or (isinstance(move, End) and "event" in fault):
            last = move
            assert not call.account.in_flight
            assert call.account.ledger.reserved == 0
            assert call.now <= outlook.ends_by
    assert last is not None


def test_what_a_call_used_is_counted_in_the_minute_once_it_has_told_it() -> None:
    exchanges, test = Exchanges(SOUND, 1.0, lambda: 0.0), "told"
    call = Played(exchanges, "Prove theorem 1", "done_then_hang;for=80000", True, test, 0.0, "sk-tokens")
    call.play_until(call.session.attempt.ends_at)
    account = call.account
    assert len(account.in_flight) == 1
    (outlook,) = (each.outlook() for each in account.in_flight)
    assert outlook.tokens == 0
