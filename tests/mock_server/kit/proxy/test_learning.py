"""What calls teach: models, lengths and failures, each with how many samples it comes from, in a file that plays."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mock_server.config import build_world, load_world
from mock_server.core.latency import Constant, LognormalLatency
from mock_server.core.world import World
from mock_server.kit.proxy.fit import LEAST
from mock_server.kit.proxy.learning import AT_ONCE_PER_S, Lesson, learn
from mock_server.kit.proxy.record import Record
from mock_server.kit.proxy.relay import CLOSED, RESET
from mock_server.kit.proxy.tally import Tally
from mock_server.kit.proxy.world_file import render
from tests.mock_server.kit.proxy.records import KEY, asks, error, plain, streamed

KNOWN = load_world("realistic").models
TIMING = 'planned;dur=1.0, first;dur=1.0, overhead;dur=0.1, attempts;desc="{}", wasted;dur=0.0'


def taught(*records: Record) -> Lesson:
    tally = Tally()
    for record in records:
        tally.add(record)
    return learn(tally.samples, KNOWN)


def written(*records: Record) -> tuple[str, World]:
    text = render(taught(*records), "http://127.0.0.1:1", 1.0)
    return text, build_world(text, "learned")


def spread(count: int, **fields: object) -> list[Record]:
    """Streams of a lognormal-like spread of times to the first token."""
    return [streamed(0.2 * 1.06 ** (number % 20), 50.0, **fields) for number in range(count)]  # type: ignore[arg-type]


def with_attempts(record: Record, attempts: int) -> Record:
    return replace(record, answer_lines=(*record.answer_lines, ("Server-Timing", TIMING.format(attempts))))


def test_each_model_has_its_own_laws_and_each_number_says_from_how_many_samples_it_comes() -> None:
    text, world = written(*spread(40), *(streamed(1.0, 200.0, model="other") for _ in range(3)))
    assert set(world.models) == {"provider/model", "provider/other"}
    many, few = world.models["provider/model"], world.models["provider/other"]
    assert isinstance(many.ttft, LognormalLatency)
    assert (few.ttft, few.tokens_per_s, few.pace_log_sd) == (Constant(1000.0), 200.0, 0.0)
    assert many.tokens_per_s == pytest.approx(50.0, rel=0.01)
    assert "40 samples, D = " in text
    assert f"3 samples: too few for a spread ({LEAST} at least)" in text


def test_where_no_stream_was_seen_whole_answers_are_what_is_timed_and_the_file_says_so() -> None:
    text, world = written(*(plain(took_s=0.3) for _ in range(5)))
    model = world.models["provider/model"]
    assert (model.ttft, model.tokens_per_s) == (Constant(300.0), AT_ONCE_PER_S)
    assert "no stream was seen, so this is the time of whole answers" in text


def test_a_stream_too_short_or_too_coalesced_to_tell_a_pace_is_not_made_to() -> None:
    text, world = written(*(streamed(0.2, 1e6, pieces=4) for _ in range(30)))
    assert world.models["provider/model"].tokens_per_s == AT_ONCE_PER_S
    assert "not measured: no stream had 8 tokens after its first piece" in text


def test_what_no_answer_tells_is_taken_from_a_model_of_the_same_name_or_said_not_to_be_known() -> None:
    known, unknown = streamed(provider="openai", model="gpt-4.1"), streamed(model="nobody")
    text, world = written(known, unknown)
    assert world.models["openai/gpt-4.1"].price_out == KNOWN["openai/gpt-4.1"].price_out
    assert "are those of the preset" in text
    assert "are not known from answers" in text


def test_the_model_that_answers_more_often_is_preferred_where_nothing_else_is_known() -> None:
    _, world = written(*[streamed(model="rare")] * 2, *[streamed(model="usual")] * 5)
    assert world.models["provider/usual"].price_out < world.models["provider/rare"].price_out


def test_failures_of_a_stream_are_its_models_and_all_others_are_everybodys() -> None:
    records = [
        *spread(80),
        *[streamed(pieces=3, failed=True)] * 10,
        *[streamed(pieces=5, broke=RESET)] * 10,
        *[error(500, "INTERNAL_ERROR", "Unexpected server error")] * 20,
        *[error(429, "RATE_LIMIT_EXCEEDED", "…")] * 5,
        *[replace(plain(), status=0, answer=b"", answered_bytes=0, pieces=(), broke=CLOSED)] * 5,
    ]
    records[90:100] = [_cut(record) for record in records[90:100]]
    text, world = written(*records)
    rules = [(rule.match.model, rule.code, rule.fault, rule.rate) for rule in world.faults]
    assert rules == [
        ("provider/model", None, "error_event;stage=mid_stream;after=3", 0.1),
        ("provider/model", None, "reset;stage=mid_stream;after=5", round(10 / 90, 6)),
        (None, 500, None, round(20 / 130, 6)),
        (None, None, "fin;stage=before_headers", round(5 / 110, 6)),
    ]
    assert "5 of 130" in text
    assert "429 RATE_LIMIT_EXCEEDED: not played" in text


def _cut(record: Record) -> Record:
    """A stream without its closing events."""
    content = record.answer.partition(b'data: {"response": "", "done": true')[0]
    return replace(record, answer=content, answered_bytes=len(content))


def test_a_status_the_contract_does_not_know_is_played_as_one_that_it_does_and_said_to_be() -> None:
    text, world = written(*spread(20), error(503, "OVERLOADED", "…"))
    assert [rule.code for rule in world.faults] == [502]
    assert "the contract knows no 503, so that 502 is played" in text


def test_where_answers_tell_their_attempts_these_give_the_rate_of_failures_and_nobody_elses_time() -> None:
    first = [with_attempts(record, 1) for record in spread(30)]
    second = [with_attempts(streamed(9.0), 2) for _ in range(5)]
    failed = with_attempts(error(502, "ALL_PROVIDERS_FAILED", "…"), 3)
    text, world = written(*first, *second, failed)
    model = world.models["provider/model"]
    assert model.error_rate == round((5 + 3) / (30 + 10 + 3), 6)
    assert model.ttft.median_s() < 1.0
    assert "5 calls that were answered by a second provider are left out" in text
    assert world.faults == ()
    assert (world.failure_mix.error, world.failure_mix.timeout) == (1.0, 0.0)
    assert "they come of the models' error_rate" in text


def test_lengths_are_learned_by_task_and_what_is_too_few_is_said() -> None:
    fields = {"messages": [{"role": "user", "content": "Write a Python function"}]}
    long = [streamed(tokens=300 + number, fields=fields) for number in range(30)]
    text, world = written(*long, *[plain()] * 3)
    (law,) = (world.answer_tokens["code"],)
    assert 5.6 < law.mu < 5.9
    assert set(world.answer_tokens) == {"code"}
    assert "answer_tokens.chat: 3 answers that ended by themselves" in text


def test_nothing_that_was_asked_or_answered_and_no_key_is_in_what_is_written() -> None:
    secret = asks(messages=[{"role": "user", "content": "the launch is on Tuesday"}])
    texts = [plain(model=f"m-{KEY}", body=secret) for _ in range(30)]
    answers = [replace(record, answer=record.answer.replace(b'"hi"', b'"nobody may know this"')) for record in texts]
    fixed = [replace(record, answered_bytes=len(record.answer)) for record in answers]
    tally = Tally()
    for record in [*fixed, error(500, KEY, KEY)]:
        tally.add(record)
    lesson = learn(tally.samples, KNOWN)
    text = render(lesson, "http://127.0.0.1:1", None) + msgspec.json.encode(lesson).decode()
    for word in ("Tuesday", "nobody may know", KEY[:12], KEY[-8:]):
        assert word not in text


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_whatever_models_call_themselves_the_file_is_a_world(provider: str, model: str) -> None:
    lesson = taught(streamed(provider=provider, model=model), streamed())
    world = build_world(render(lesson, "http://127.0.0.1:1", 0.0), "learned")
    assert "provider/model" in world.models


def test_what_a_mock_was_ordered_to_do_teaches_nothing() -> None:
    ordered = replace(streamed(), lines=(*streamed().lines, ("X-Mock-Fault", "framing=crlf")))
    forced = error(500, "INTERNAL_ERROR", "…", answer_lines=(("Preference-Applied", "code=500"),))
    assert taught(ordered, forced) == taught()


def test_clients_that_gave_up_are_told_as_what_is_missing_and_are_no_failures() -> None:
    gone = replace(plain(), status=0, answer=b"", answered_bytes=0, pieces=(), left=True, ended_at=13.0)
    lesson = taught(*spread(30), gone, gone)
    assert (lesson.samples, lesson.failures) == (30, ())
    assert "2 calls were left by their client before it was told anything, after up to 3.0 s" in lesson.unfitted[0]


def test_a_stream_too_long_to_be_kept_is_no_failure() -> None:
    whole = streamed()
    lesson = taught(replace(_cut(whole), answered_bytes=len(whole.answer)))
    assert lesson.failures == ()
    assert lesson.models[0].settings.ttft == Constant(500.0)


def test_a_client_that_left_in_the_middle_still_tells_the_time_to_the_first_token() -> None:
    half = replace(_cut(streamed(0.7)), left=True)
    (model,) = taught(half).models
    assert (model.settings.ttft, model.streams) == (Constant(700.0), 1)
    assert taught(half).failures == ()
