from __future__ import annotations

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


@pytest.mark.parametrize(("kind", "stage"), [*product(KINDS, STAGES)])
def test_a_kind_strikes_at_its_stages_and_is_refused_at_others(kind: Kind, stage: Stage) -> None:
    text = f"{kind};stage={stage}{options(kind)}"
    if stage in stages_of(kind):
        fault = parse_fault(text)
        assert (fault.kind, fault.stage, fault.after) == (kind, stage, int(stage == "mid_stream"))
    else:
        allowed = ", ".join(stages_of(kind))
        assert refused(text) == f"{kind} cannot strike at stage {stage}; it can at {allowed}"


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_stage_events_strike_after_the_first_piece_and_all_else_before_the_headers(kind: Kind) -> None:
    fault = parse_fault(kind + options(kind))
    usual = ("before_done" if kind in AFTER_ALL else "before_headers", 0)
    assert (fault.stage, fault.after) == (("mid_stream", 1) if kind in EVENTS else usual)


@pytest.mark.parametrize(("kind", "stage"), [*product(KINDS, STAGES)])
def test_after_goes_with_mid_stream_only(kind: Kind, stage: Stage) -> None:
    text = f"{kind};stage={stage};after=7{options(kind)}"
    if stage not in stages_of(kind):
        assert "cannot strike at stage" in refused(text)
    elif stage == "mid_stream":
        assert parse_fault(text).after == 7
    else:
        assert refused(text) == f"after= goes with stage=mid_stream, not {stage}"


@pytest.mark.parametrize("kind", KINDS)
def test_after_alone_means_mid_stream(kind: Kind) -> None:
    text = f"{kind};after=3{options(kind)}"
    if kind in WHOLE + AFTER_ALL:
        assert refused(text) == f"after= goes with stage=mid_stream, not {stages_of(kind)[0]}"
    else:
        assert parse_fault(text) == parse_fault(f"{kind};stage=mid_stream;after=3{options(kind)}")


@pytest.mark.parametrize("kind", KINDS)
def test_for_goes_with_the_kinds_that_take_time(kind: Kind) -> None:
    if kind in TAKE_TIME:
        assert parse_fault(f"{kind};for=2.5").for_s == 2.5
    else:
        assert refused(f"{kind};for=2.5") == f"for= goes with {', '.join(TAKE_TIME)}, not {kind}"


@pytest.mark.parametrize(("kind", "framing"), [*product(KINDS, FRAMINGS)])
def test_a_framing_goes_with_what_can_strike_a_stream(kind: Kind, framing: str) -> None:
    text = f"{kind};framing={framing}{options(kind)}"
    if kind in WHOLE:
        assert refused(text) == f"framing= goes with streams, and {kind} strikes plain answers only"
    else:
        assert parse_fault(text).framing == framing


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_framing_alone_is_no_failure(framing: Framing) -> None:
    assert parse_fault(f"framing={framing}") == Fault(framing=framing)
    assert parse_fault(f" framing = {framing} ").kind is None


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


POSSIBLE = [(kind, stage, stream) for kind in KINDS for stage in stages_of(kind) for stream in (False, True)]


@pytest.mark.parametrize(("kind", "stage", "stream"), POSSIBLE)
def test_a_fault_fits_a_stream_or_a_plain_answer_or_says_why_not(kind: Kind, stage: Stage, stream: bool) -> None:
    why = check_fits(parse_fault(f"{kind};stage={stage}{options(kind)}"), stream=stream)
    if kind in (WHOLE if stream else EVENTS + AFTER_ALL):
        assert why == f"{kind} cannot strike {'a stream' if stream else 'a plain answer'}"
    elif not stream and stage not in ("before_headers", "before_first_token"):
        expected = "it can at before_headers, before_first_token"
        assert why == f"{kind} cannot strike a plain answer at stage {stage}; {expected}"
    else:
        assert why is None


@pytest.mark.parametrize("text", ["framing=crlf", "reset;framing=crlf"])
def test_a_framing_fits_streams_only(text: str) -> None:
    fault = parse_fault(text)
    assert check_fits(fault, stream=True) is None
    assert check_fits(fault, stream=False) == "framing= is about streams, and this call is not streamed"
