from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.core.faults import (
    FRAMING_MEANINGS,
    FRAMINGS,
    KINDS,
    MAX_AFTER,
    MAX_FOR_S,
    STAGE_MEANINGS,
    STAGES,
    TABLE,
    Fault,
    FaultError,
    Framing,
    Kind,
    Stage,
    check_fits,
    parse_fault,
)

CONNECTION: tuple[Kind, ...] = ("reset", "fin", "stall", "delay")
EVENTS: tuple[Kind, ...] = ("eof", "error_event", "garbage_event", "bad_chunk")
AFTER_ALL: tuple[Kind, ...] = ("done_then_hang",)
TAKE_TIME: tuple[Kind, ...] = ("done_then_hang", "stall", "delay", "dribble")
WHOLE: tuple[Kind, ...] = ("empty", "truncated_json", "malformed_json", "wrong_type", "dribble")


def options(kind: Kind) -> str:
    """What `kind` cannot do without."""
    return ";for=1" if kind == "delay" else ""


def stages_of(kind: Kind) -> tuple[Stage, ...]:
    """Where the contract lets `kind` strike, written out once more, independently of the table."""
    if kind in CONNECTION:
        return STAGES
    if kind in AFTER_ALL:
        return STAGES[-1:]
    return STAGES[1:] if kind in EVENTS else STAGES[:1]


def refused(text: str) -> str:
    with pytest.raises(FaultError) as caught:
        parse_fault(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_table_knows_every_kind_stage_and_framing() -> None:
    assert {*CONNECTION, *EVENTS, *AFTER_ALL, *WHOLE} == set(KINDS) == set(TABLE)
    assert set(STAGE_MEANINGS) == set(STAGES)
    assert set(FRAMING_MEANINGS) == set(FRAMINGS)
    assert all(row.meaning for row in TABLE.values())


def read(text: str) -> Fault | str:
    """The fault that a directive asks for, or why it is refused."""
    try:
        return parse_fault(text)
    except FaultError as error:
        return str(error)


def unexpected(cases: Iterable[tuple[str, Fault | str]]) -> dict[str, tuple[Fault | str, Fault | str]]:
    """Directives that are not read as they should be: what came of them and what was expected."""
    return {text: (read(text), expected) for text, expected in cases if read(text) != expected}


def least(kind: Kind) -> float | None:
    """The `for` that `options` gives."""
    return 1.0 if kind == "delay" else None


def test_a_kind_strikes_at_its_stages_and_is_refused_at_others() -> None:
    def expected(kind: Kind, stage: Stage) -> Fault | str:
        if stage in stages_of(kind):
            return Fault(kind, stage, int(stage == "mid_stream"), least(kind))
        return f"{kind} cannot strike at stage {stage}; it can at {', '.join(stages_of(kind))}"

    pairs = product(KINDS, STAGES)
    assert unexpected((f"{kind};stage={stage}{options(kind)}", expected(kind, stage)) for kind, stage in pairs) == {}


def test_without_a_stage_events_strike_after_the_first_piece_and_all_else_before_the_headers() -> None:
    def expected(kind: Kind) -> Fault:
        if kind in EVENTS:
            return Fault(kind, "mid_stream", 1)
        return Fault(kind, "before_done" if kind in AFTER_ALL else "before_headers", 0, least(kind))

    assert unexpected((kind + options(kind), expected(kind)) for kind in KINDS) == {}


def test_after_goes_with_mid_stream_only() -> None:
    def expected(kind: Kind, stage: Stage) -> Fault | str:
        if stage == "mid_stream":
            return Fault(kind, stage, 7, least(kind))
        return f"after= goes with stage=mid_stream, not {stage}"

    pairs = [(kind, stage) for kind in KINDS for stage in stages_of(kind)]
    cases = ((f"{kind};stage={stage};after=7{options(kind)}", expected(kind, stage)) for kind, stage in pairs)
    assert unexpected(cases) == {}


def test_after_alone_means_mid_stream() -> None:
    def expected(kind: Kind) -> Fault | str:
        if kind in WHOLE + AFTER_ALL:
            return f"after= goes with stage=mid_stream, not {stages_of(kind)[0]}"
        return Fault(kind, "mid_stream", 3, least(kind))

    assert unexpected((f"{kind};after=3{options(kind)}", expected(kind)) for kind in KINDS) == {}


def test_for_goes_with_the_kinds_that_take_time() -> None:
    def expected(kind: Kind) -> Fault | str:
        if kind in TAKE_TIME:
            return Fault(kind, "before_done" if kind in AFTER_ALL else "before_headers", for_s=2.5)
        return f"for= goes with {', '.join(TAKE_TIME)}, not {kind}"

    assert unexpected((f"{kind};for=2.5", expected(kind)) for kind in KINDS) == {}


def test_a_framing_goes_with_what_can_strike_a_stream() -> None:
    def expected(kind: Kind, framing: Framing) -> Fault | str:
        if kind in WHOLE:
            return f"framing= goes with streams, and {kind} strikes plain answers only"
        without = parse_fault(kind + options(kind))
        return Fault(kind, without.stage, without.after, without.for_s, framing)

    pairs = product(KINDS, FRAMINGS)
    cases = ((f"{kind};framing={framing}{options(kind)}", expected(kind, framing)) for kind, framing in pairs)
    assert unexpected(cases) == {}


def test_a_framing_alone_is_no_failure() -> None:
    assert unexpected((f"framing={framing}", Fault(framing=framing)) for framing in FRAMINGS) == {}
    assert parse_fault(" framing = crlf ") == Fault(framing="crlf")


ALL_KINDS = ", ".join(KINDS)
OPTIONS = "allowed are stage=, after=, for= and framing="


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"unknown fault kind ''; allowed are {ALL_KINDS}"),
        (";", f"unknown fault kind ''; allowed are {ALL_KINDS}"),
        ("resett", f"unknown fault kind 'resett'; allowed are {ALL_KINDS}"),
        ("RESET", f"unknown fault kind 'RESET'; allowed are {ALL_KINDS}"),
        ("x" * 500, f"unknown fault kind {'x' * 40!r}; allowed are {ALL_KINDS}"),
        ("reset;stage=later", f"unknown stage 'later'; allowed are {', '.join(STAGES)}"),
        ("reset;stage=", f"unknown stage ''; allowed are {', '.join(STAGES)}"),
        ("framing=odd", f"unknown framing 'odd'; allowed are {', '.join(FRAMINGS)}"),
        ("stage=mid_stream", f"a directive is a fault kind or framing=…; fault kinds are {ALL_KINDS}"),
        ("after=3", f"a directive is a fault kind or framing=…; fault kinds are {ALL_KINDS}"),
        ("framing=crlf;after=3", f"a directive is a fault kind or framing=…; fault kinds are {ALL_KINDS}"),
        ("reset;", f"unknown fault option ''; {OPTIONS}"),
        ("reset;stage", f"unknown fault option 'stage'; {OPTIONS}"),
        ("reset;fin", f"unknown fault option 'fin'; {OPTIONS}"),
        ("reset;stages=mid_stream", f"unknown fault option 'stages=mid_stream'; {OPTIONS}"),
        ("reset;after=2;after=2", "after= is given twice"),
        ("framing=crlf;framing=comments", "framing= is given twice"),
        ("delay", "delay needs for=SECONDS"),
        ("delay;stage=before_usage", "delay needs for=SECONDS"),
    ],
    ids=lambda text: text[:30],
)
def test_what_cannot_be_understood_is_refused_with_what_is_allowed(text: str, message: str) -> None:
    assert refused(text) == message


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "x", "", "1e3", "1_0", "٣", str(MAX_AFTER + 1), "9" * 5_000])
def test_after_is_a_whole_number_in_range(number: str) -> None:
    assert refused(f"reset;after={number}") == (
        f"after= must be a whole number from 1 to {MAX_AFTER:g}, not {number[:40]!r}"
    )


@pytest.mark.parametrize("number", ["-1", "-0.001", "nan", "inf", "x", "", "1s", "1_0", "٣", str(MAX_FOR_S + 1)])
def test_for_is_a_number_of_seconds_in_range(number: str) -> None:
    assert refused(f"stall;for={number}") == (
        f"for= must be a number of seconds from 0 to {MAX_FOR_S:g}, not {number[:40]!r}"
    )


@pytest.mark.parametrize(("text", "expected"), [("0", 0.0), (".5", 0.5), ("1e3", 1_000.0), ("86400", MAX_FOR_S)])
def test_for_may_be_written_as_numbers_are(text: str, expected: float) -> None:
    assert parse_fault(f"stall;for={text}").for_s == expected


def test_spaces_around_words_do_not_matter() -> None:
    assert parse_fault(" reset ; stage = mid_stream ;after= 2") == Fault("reset", "mid_stream", 2)


def faults() -> st.SearchStrategy[Fault]:
    def one(kind: Kind) -> st.SearchStrategy[Fault]:
        seconds = st.floats(0, MAX_FOR_S)
        for_s = {kind: st.none() | seconds for kind in TAKE_TIME} | {"delay": seconds}
        framing = st.none() if kind in WHOLE else st.none() | st.sampled_from(FRAMINGS)
        return st.sampled_from(stages_of(kind)).flatmap(
            lambda stage: st.builds(
                Fault,
                st.just(kind),
                st.just(stage),
                st.integers(1, MAX_AFTER) if stage == "mid_stream" else st.just(0),
                for_s.get(kind, st.none()),
                framing,
            )
        )

    return st.sampled_from(KINDS).flatmap(one) | st.builds(Fault, framing=st.sampled_from(FRAMINGS))


@given(faults())
def test_a_fault_written_out_is_read_back_as_it_was(fault: Fault) -> None:
    assert parse_fault(fault.text()) == fault


@given(st.text(max_size=60) | st.lists(st.sampled_from([*KINDS, *STAGES, "=", ";", "for", "after", "1"])).map("".join))
def test_any_text_is_a_fault_or_refused(text: str) -> None:
    with suppress(FaultError):
        fault = parse_fault(text)
        assert parse_fault(fault.text()) == fault


def test_a_fault_fits_a_stream_or_a_plain_answer_or_says_why_not() -> None:
    def expected(kind: Kind, stage: Stage, stream: bool) -> str | None:
        if kind in (WHOLE if stream else EVENTS + AFTER_ALL):
            return f"{kind} cannot strike {'a stream' if stream else 'a plain answer'}"
        if stream or stage in ("before_headers", "before_first_token"):
            return None
        where = "before_headers, before_first_token"
        return f"{kind} cannot strike a plain answer at stage {stage}; it can at {where}"

    cases = [(kind, stage, stream) for kind in KINDS for stage in stages_of(kind) for stream in (False, True)]
    found = {case: check_fits(Fault(case[0], case[1]), stream=case[2]) for case in cases}
    assert {case: why for case, why in found.items() if why != expected(*case)} == {}


@pytest.mark.parametrize("text", ["framing=crlf", "reset;framing=crlf"])
def test_a_framing_fits_streams_only(text: str) -> None:
    fault = parse_fault(text)
    assert check_fits(fault, stream=True) is None
    assert check_fits(fault, stream=False) == "framing= is about streams, and this call is not streamed"
