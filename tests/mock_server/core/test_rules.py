from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.contract.errors import FORCED
from mock_server.core.dice import Dice
from mock_server.core.faults import FaultError, parse_fault
from mock_server.core.rules import MAX_RULES, Facts, FaultRule, Identity, RuleBook, Strike

DICE = Dice(7, "")
CODES = ", ".join(map(str, sorted(FORCED)))


def rule(**fields: Any) -> FaultRule:
    """A rule as a world file or a request has it; answers with a 502 unless told otherwise."""
    what: dict[str, Any] = {} if "code" in fields or "fault" in fields else {"code": 502}
    return msgspec.convert(what | fields, FaultRule)


def facts(number: int = 0, texts: tuple[str, ...] = ("hello",), occurrence: int = 0, **known: Any) -> Facts:
    """The facts of the call of this number, by default of everybody's plain one."""
    first: dict[str, Any] = {"key": "sk-test-pro", "test": "", "stream": False} | known
    return Facts(
        has_text=lambda part: any(part in text for text in texts),
        fingerprint=number.to_bytes(16, "big"),
        occurrence=occurrence,
        **first,
    )


def strike_of(book: RuleBook, call: Facts, dice: Dice = DICE, *, routed: bool = False) -> Strike | None:
    """What strikes a call that goes ahead."""
    (choice := book.choose(call, dice, routed=routed)).commit()
    if choice.strike is not None:
        choice.settle(missed=False)
    return choice.strike


def struck(book: RuleBook, calls: int, dice: Dice = DICE) -> list[bool]:
    """Which of so many different calls are struck."""
    return [strike_of(book, facts(number), dice) is not None for number in range(calls)]


def test_a_rule_strikes_with_its_code_or_its_fault() -> None:
    assert strike_of(RuleBook([rule(code=429)]), facts(), DICE) == Strike(code=429)
    fault = strike_of(RuleBook([rule(fault="reset;stage=before_first_token")]), facts(), DICE)
    assert fault == Strike(fault=parse_fault("reset;stage=before_first_token"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"code": None}, "give either code or fault"),
        ({"code": 502, "fault": "reset"}, "give either code or fault"),
        ({"code": 200}, f"code must be one of {CODES}, not 200"),
        ({"code": 418}, f"code must be one of {CODES}, not 418"),
        ({"fault": "delay"}, "delay needs for=SECONDS"),
        ({"hits": 2}, "hits and of go together: exactly `hits` in each `of` calls"),
        ({"of": 2}, "hits and of go together: exactly `hits` in each `of` calls"),
        ({"fault": "reset", "headers": {"x-a": "b"}}, "headers go with code; a fault on the wire has none of its own"),
        (
            {"headers": {"Content-Length": "1"}},
            "headers: Content-Length belongs to HTTP's own framing; for broken framing there are faults",
        ),
        ({"hits": 3, "of": 2}, "hits must be at most of, 2, not 3"),
        ({"fault": "eof", "match": {"stream": False}}, "eof cannot strike a plain answer"),
        ({"fault": "empty", "match": {"stream": True}}, "empty cannot strike a stream"),
        (
            {"fault": "reset;after=2", "match": {"stream": False}},
            "reset cannot strike a plain answer at stage mid_stream; it can at before_headers, before_first_token",
        ),
    ],
)
def test_a_rule_that_is_not_one_clear_thing_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(FaultError) as caught:
        RuleBook().add(rule(**fields))
    assert str(caught.value) == message


PICKERS: list[dict[str, Any]] = [{"times": 1}, {"every": 2}, {"rate": 0.5}, {"hits": 1, "of": 2}]


@pytest.mark.parametrize(("first", "second"), list(pairwise([*PICKERS, PICKERS[0]])))
def test_two_ways_to_pick_calls_contradict_each_other(first: dict[str, Any], second: dict[str, Any]) -> None:
    with pytest.raises(FaultError, match="contradict each other; give one of times, every, rate, hits with of"):
        RuleBook().add(rule(**first, **second))


@pytest.mark.parametrize(
    "fields",
    [
        {"times": 0},
        {"every": 0},
        {"rate": -0.1},
        {"rate": 1.1},
        {"hits": 0, "of": 2},
        {"hits": 1, "of": 10_001},
        {"times": "2"},
        {"tmies": 2},
        {"match": {"kee": "x"}},
        {"match": {"stream": "yes"}},
    ],
)
def test_a_field_that_is_unknown_or_out_of_range_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        rule(**fields)


CALL: dict[str, Any] = {"key": "sk-test-pro", "test": "t1", "stream": True, "provider": "openai", "model": "gpt-4.1"}


@pytest.mark.parametrize(
    ("match", "hit"),
    [
        ({}, True),
        ({"key": "sk-test-pro"}, True),
        ({"key": "sk-test"}, False),
        ({"test": "t1"}, True),
        ({"test": ""}, False),
        ({"test": "t"}, False),
        ({"text": "ell"}, True),
        ({"text": "world"}, True),
        ({"text": "hello world"}, False),
        ({"text": "Hello"}, False),
        ({"provider": "openai"}, True),
        ({"provider": "open"}, False),
        ({"model": "gpt-4.1"}, True),
        ({"model": "openai/gpt-4.1"}, True),
        ({"model": "groq/gpt-4.1"}, False),
        ({"stream": True}, True),
        ({"stream": False}, False),
        ({"key": "sk-test-pro", "test": "t1", "text": "hello", "provider": "openai", "stream": True}, True),
        ({"key": "sk-test-pro", "test": "t2"}, False),
        ({"provider": "openai", "model": "gpt-4o-mini"}, False),
    ],
)
def test_a_rule_strikes_the_calls_that_match_all_it_names(match: dict[str, Any], hit: bool) -> None:
    book = RuleBook([rule(match=match)])
    call = facts(texts=("hello", "world"), **CALL)
    routed = "provider" in match or "model" in match
    assert strike_of(book, call, DICE, routed=not routed) is None
    assert book.rules[0].seen == 0
    assert (strike_of(book, call, DICE, routed=routed) is not None) is hit
    assert book.rules[0].seen == book.rules[0].struck == int(hit)


@pytest.mark.parametrize(("fault", "stream"), [("eof", False), ("empty", True), ("reset;after=2", False)])
def test_a_call_the_fault_cannot_strike_is_neither_struck_nor_counted(fault: str, stream: bool) -> None:
    book = RuleBook([rule(fault=fault, times=1), rule(code=500)])
    assert strike_of(book, facts(stream=stream), DICE) == Strike(code=500)
    assert book.rules[0].seen == 0
    assert strike_of(book, facts(stream=not stream), DICE) == Strike(fault=parse_fault(fault))


@pytest.mark.parametrize("times", [1, 2, 7])
def test_the_next_n_calls_are_struck_and_then_none_ever_again(times: int) -> None:
    book = RuleBook([rule(times=times)])
    assert struck(book, 20) == [True] * times + [False] * (20 - times)
    assert book.rules[0].spent


@pytest.mark.parametrize("every", [1, 2, 5])
def test_every_kth_call_is_struck(every: int) -> None:
    assert struck(RuleBook([rule(every=every)]), 20) == [n % every == 0 for n in range(1, 21)]


def test_without_a_way_to_pick_all_calls_are_struck() -> None:
    assert struck(RuleBook([rule()]), 20) == [True] * 20


def test_calls_that_do_not_match_are_not_counted() -> None:
    book = RuleBook([rule(every=2, match={"key": "sk-test-free"})])
    keys = ["sk-test-pro", "sk-test-free", "sk-test-pro", "sk-test-free", "sk-test-free"]
    hits = [strike_of(book, facts(key=key), DICE) is not None for key in keys]
    assert hits == [False, False, False, True, False]


def blocks(of: int) -> st.SearchStrategy[tuple[int, int, int]]:
    return st.tuples(st.integers(1, of), st.just(of), st.integers(0, 2**32))


@given(st.integers(1, 40).flatmap(blocks))
def test_stratified_strikes_exactly_its_hits_in_each_block(case: tuple[int, int, int]) -> None:
    hits, of, seed = case
    found = struck(RuleBook([rule(hits=hits, of=of)]), 4 * of, Dice(seed, ""))
    assert [sum(found[start : start + of]) for start in range(0, 4 * of, of)] == [hits] * 4


def test_stratified_strikes_at_other_places_in_each_block_and_under_each_seed() -> None:
    found = struck(RuleBook([rule(hits=2, of=20)]), 200)
    assert len({tuple(found[start : start + 20]) for start in range(0, 200, 20)}) > 5
    assert struck(RuleBook([rule(hits=2, of=20)]), 200) == found
    assert struck(RuleBook([rule(hits=2, of=20)]), 200, Dice(8, "")) != found


def test_two_stratified_rules_choose_their_places_apart() -> None:
    one, two = rule(hits=5, of=10), rule(hits=5, of=10)
    second = RuleBook([one, two])
    del second.rules[0]
    assert struck(RuleBook([one]), 100) != struck(second, 100)


@given(st.permutations(range(60)), st.floats(0.05, 0.95))
def test_a_rate_fixes_which_calls_are_struck_whatever_their_order(order: list[int], rate: float) -> None:
    in_order = struck(RuleBook([rule(rate=rate)]), 60)
    book = RuleBook([rule(rate=rate)])
    shuffled = {number: strike_of(book, facts(number), DICE) is not None for number in order}
    assert [shuffled[number] for number in range(60)] == in_order


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.3, 1.0])
def test_a_rate_strikes_its_share(rate: float) -> None:
    hits = sum(struck(RuleBook([rule(rate=rate)]), 10_000))
    assert abs(hits - 10_000 * rate) <= 5 * (10_000 * rate * (1 - rate)) ** 0.5


def test_a_rate_draws_anew_for_a_call_repeated_another_seed_and_another_test() -> None:
    def hits(dice: Dice, occurrence: int) -> list[bool]:
        book = RuleBook([rule(rate=0.5)])
        calls = (facts(number, occurrence=occurrence) for number in range(100))
        return [strike_of(book, call, dice) is not None for call in calls]

    found = [hits(DICE, 0), hits(DICE, 1), hits(Dice(8, ""), 0), hits(Dice(7, "t"), 0)]
    assert all(one != other for at, one in enumerate(found) for other in found[at + 1 :])
    assert hits(DICE, 0) == found[0]


def test_the_first_rule_that_strikes_decides() -> None:
    book = RuleBook([rule(code=500, times=1), rule(code=502, every=2), rule(code=429)])
    found = [strike_of(book, facts(number), DICE) for number in range(4)]
    assert [strike and strike.code for strike in found] == [500, 429, 502, 429]


def strikes(engine: Any, request: Any, calls: int, test: str = "") -> list[Strike | None]:
    """What strikes so many equal calls of a test."""
    found = []
    for _ in range(calls):
        scope = engine.scope(test, 0.0)
        choice = engine.choose(
            scope, engine.facts(scope, "sk-test-pro", request, engine.identify(scope, request)), routed=False
        )
        choice.commit()
        found.append(choice.strike)
    return found


def test_queued_rules_come_before_those_of_the_world(engine_of: Callable[..., Any], request_of: Any) -> None:
    engine = engine_of("[[faults]]\ncode = 500\n")
    engine.scope("", 0.0).queued.add(rule(code=502, times=1))
    assert [strike and strike.code for strike in strikes(engine, request_of("hello"), 2)] == [502, 500]


def test_each_test_id_counts_the_worlds_rules_for_itself(engine_of: Callable[..., Any], request_of: Any) -> None:
    engine, request = engine_of("[[faults]]\ncode = 500\ntimes = 1\n"), request_of("hello")
    for test in ("one", "two", ""):
        assert strikes(engine, request, 2, test) == [Strike(code=500), None]


def test_rules_are_asked_for_a_part_of_any_message(engine_of: Callable[..., Any], request_of: Any) -> None:
    engine = engine_of()
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "part one"}]},
    ]
    asked = engine.facts(engine.scope("", 0.0), "k", request_of(messages=messages), Identity(b"", 0))
    assert [asked.has_text(part) for part in ("brief", "part one", "brief part", "absent")] == [
        True,
        True,
        False,
        False,
    ]


def test_the_number_of_rules_is_bounded_and_spent_ones_make_room() -> None:
    book = RuleBook([rule(times=1), *(rule(match={"key": "none"}) for _ in range(MAX_RULES - 1))])
    with pytest.raises(FaultError) as caught:
        book.add(rule())
    assert str(caught.value) == f"there are {MAX_RULES} faults already; clear some first"
    assert strike_of(book, facts(), DICE) is not None
    book.add(rule(code=500))
    assert len(book.rules) == MAX_RULES
    assert strike_of(book, facts(), DICE) == Strike(code=500)


def test_clearing_removes_all_rules() -> None:
    book = RuleBook([rule(code=500), rule(code=502)])
    assert (book.clear(), book.rules) == (2, [])


MIXED: list[dict[str, Any]] = [{"rate": 0.5}, {"hits": 3, "of": 7}, {"rate": 0.5, "code": 500}]


def test_a_rules_draws_do_not_depend_on_what_else_was_queued_or_in_which_order(
    engine_of: Callable[..., Any], request_of: Any
) -> None:
    def fates(others: int, order: list[int], resets: int) -> list[list[bool]]:
        """Which calls each of the mixed rules would strike alone, after all that."""
        engine = engine_of()
        for _ in range(resets):
            engine.scope("mine", 0.0).queued.add(rule(rate=0.1))
            engine.reset("mine", 0.0)
        for number in range(others):
            engine.scope(f"other-{number}", 0.0).queued.add(rule(rate=0.5))
        scope = engine.scope("mine", 0.0)
        active = {at: scope.queued.add(rule(**MIXED[at])) for at in order}
        calls = [facts(number, test="mine") for number in range(60)]
        found: list[list[bool]] = []
        for at in range(len(MIXED)):
            scope.queued.rules = [active[at]]
            found.append(struck_by(scope.queued, calls, scope.dice))
        return found

    alone = fates(0, [0, 1, 2], 0)
    assert alone == fates(5, [2, 0, 1], 0) == fates(3, [1, 2, 0], 2)
    assert len({tuple(each) for each in alone}) == 3


def struck_by(book: RuleBook, calls: list[Facts], dice: Dice) -> list[bool]:
    return [strike_of(book, call, dice) is not None for call in calls]


def test_calls_are_counted_whether_or_not_there_is_a_rule(engine_of: Callable[..., Any], request_of: Any) -> None:
    engine, request = engine_of(), request_of("hello")
    scope = engine.scope("", 0.0)
    assert [engine.identify(scope, request).occurrence for _ in range(3)] == [0, 1, 2]
    assert not engine.has_rules(scope)


def test_a_call_that_is_refused_is_not_counted_by_the_rules_it_matched() -> None:
    book = RuleBook([rule(every=2), rule(code=500, times=1)])
    assert book.choose(facts(), DICE, routed=False).strike == Strike(code=500)
    assert [(active.seen, active.struck) for active in book.rules] == [(0, 0), (0, 0)]
    assert strike_of(book, facts()) == Strike(code=500)
    assert [(active.seen, active.struck) for active in book.rules] == [(1, 0), (1, 1)]


def test_a_strike_that_missed_falls_to_the_next_call_even_when_another_rule_was_queued_meanwhile() -> None:
    book = RuleBook([rule(fault="empty", times=1)])
    (first := book.choose(facts(0), DICE, routed=False)).commit()
    assert strike_of(book, facts(1)) is None  # it may still strike the first one
    book.add(rule(fault="fin", times=1))
    first.settle(missed=True)
    assert [strike_of(book, facts(n)) for n in (2, 3)] == [Strike(fault=parse_fault(f)) for f in ("empty", "fin")]
