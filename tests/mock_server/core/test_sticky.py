"""Conversations stay with the model that answered them, where the world says so, and its cache shortens the wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.contract.messages import ChatRequest
from mock_server.core import sticky
from mock_server.core.engine import Engine
from mock_server.core.prompts import count_prompt
from mock_server.core.session import Answer, Session
from mock_server.core.sticky import Conversations, conversation_of

Engines = Callable[..., Engine]
Begin = Callable[..., Session]
Requests = Callable[..., ChatRequest]

PREFILL = "".join(
    f"""
[models."{name}"]
prefill_ms_per_token = 1.0
ttft = {{ law = "constant", ms = 100.0 }}
tokens_per_s = 100.0
window = 50_000
price_in = 1.0
price_out = 1.0
quality = {quality}
"""
    for name, quality in (("omega/best", 1.0), ("omega/second", 0.95))
)
ALPHA_DOWN_AT_FIRST = '[[incidents]]\nkind = "outage"\nmatch = "alpha"\nfor = 5\n'
STICKY = "[routing]\nsticky_s = 60\n"
SAID: list[dict[str, Any]] = [{"role": "user", "content": "Tell me of the sea " * 50}]
NEXT: list[dict[str, Any]] = [*SAID, {"role": "assistant", "content": "Blue."}, {"role": "user", "content": "More?"}]


@pytest.fixture
def talk(request_of: Requests, begin: Begin) -> Callable[..., str]:
    """Ask, and play to the end; who answered."""

    def talk(
        engine: Engine, messages: list[dict[str, Any]], now: float, key: str = "sk-test-unlimited", **strategy: Any
    ) -> str:
        session = begin(engine, request_of(messages=messages, strategy={"mode": "quality", **strategy}), key, now=now)
        step: object = session.attempt
        while not isinstance(step, Answer):
            step = session.settle(session.attempt.ends_at)
        return step.provider

    return talk


@pytest.mark.parametrize(("world", "then"), [(STICKY, "beta"), ("", "alpha"), ("[routing]\nsticky_s = 0\n", "alpha")])
def test_a_conversation_stays_with_who_answered_it_only_where_the_world_says_so(
    engine_of: Engines, talk: Callable[..., str], world: str, then: str
) -> None:
    engine = engine_of(world + ALPHA_DOWN_AT_FIRST)
    assert talk(engine, SAID, 0.0) == "beta"
    assert talk(engine, NEXT, 20.0) == then
    assert talk(engine, NEXT, 21.0, mode="latency") == then


@pytest.mark.parametrize(
    ("what", "answered"),
    [
        ({"now": 59.0}, "beta"),
        ({"now": 300.0}, "alpha"),
        ({"key": "sk-test-pro"}, "alpha"),
        ({"messages": [{"role": "user", "content": "Another"}]}, "alpha"),
        ({"messages": [{**SAID[0], "role": "system"}, *NEXT[1:]]}, "alpha"),
        ({"providers": {"order": ["gamma"]}}, "gamma"),
        ({"exclude_models": ["beta/two"]}, "alpha"),
    ],
    ids=str,
)
def test_it_is_told_by_account_and_first_message_and_ends_with_its_time(
    engine_of: Engines, talk: Callable[..., str], what: dict[str, Any], answered: str
) -> None:
    engine = engine_of(STICKY + ALPHA_DOWN_AT_FIRST)
    assert talk(engine, SAID, 0.0) == "beta"
    assert talk(engine, **({"messages": NEXT, "now": 20.0} | what)) == answered


def test_a_model_known_to_fail_loses_its_conversation(engine_of: Engines, talk: Callable[..., str]) -> None:
    engine = engine_of(STICKY)
    assert talk(engine, SAID, 0.0) == "alpha"
    engine.scope("", 1.0).breakers["alpha"].trip(1.0)
    engine.scope("", 1.0).ailing.add("alpha")
    assert talk(engine, NEXT, 2.0) == "beta"
    engine.scope("", 3.0).breakers["alpha"].mend()
    engine.scope("", 3.0).ailing.discard("alpha")
    assert talk(engine, NEXT, 40.0) == "beta"


def test_each_test_id_has_its_own_conversations(engine_of: Engines, begin: Begin, request_of: Requests) -> None:
    engine = engine_of(STICKY + PREFILL)
    for test in ("one", "two"):
        session = begin(engine, request_of(messages=SAID), test=test)
        assert session.attempt.first_at == pytest.approx(0.1 + count_prompt(request_of(messages=SAID)) / 1e3)
        session.settle(session.attempt.ends_at)


@pytest.mark.parametrize("on", [True, False])
def test_what_a_model_has_read_need_not_be_read_again(
    engine_of: Engines, begin: Begin, request_of: Requests, on: bool
) -> None:
    engine = engine_of((STICKY if on else "") + PREFILL)
    first, second = request_of(messages=SAID), request_of(messages=NEXT)
    session = begin(engine, first)
    assert session.attempt.first_at == pytest.approx(0.1 + count_prompt(first) / 1e3)
    session.settle(session.attempt.ends_at)
    cached = count_prompt(first) - 3 if on else 0  # all of its messages, and 3 tokens stand for the reply
    later = begin(engine, second, now=50.0)
    assert later.attempt.first_at - 50.0 == pytest.approx(0.1 + (count_prompt(second) - cached) / 1e3)
    assert later.route.call.cached_tokens == cached
    assert later.answer().usage.prompt_tokens == count_prompt(second)  # it is billed all the same


def test_another_model_has_not_read_it(engine_of: Engines, begin: Begin, request_of: Requests) -> None:
    engine = engine_of(STICKY + PREFILL)
    session = begin(engine, request_of(messages=SAID))
    session.settle(session.attempt.ends_at)
    other = request_of(messages=NEXT, strategy={"models": ["omega/second"]})
    assert begin(engine, other, now=50.0).attempt.first_at - 50.0 == pytest.approx(0.1 + count_prompt(other) / 1e3)


MESSAGES = st.lists(st.sampled_from("abc"), min_size=1, max_size=6)


@given(MESSAGES, MESSAGES)
def test_what_two_calls_share_are_the_messages_both_begin_with(one: list[str], two: list[str]) -> None:
    def of(texts: list[str]) -> sticky.Conversation:
        return sticky.Conversation("k", tuple((text.encode(), 10) for text in texts))

    shared = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    assert of(one).shared_tokens(of(two)) == of(two).shared_tokens(of(one)) == 10 * shared


def test_the_number_remembered_is_bounded(request_of: Requests, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sticky, "MAX_CONVERSATIONS", 3)
    held = Conversations(60.0)
    talks = [conversation_of("k", request_of(f"{n}").messages) for n in range(4)]
    for talk in (*talks[:3], talks[0], talks[3]):
        held.keep(talk, "m", 0.0)
    assert [held.find(talk, 1.0) is not None for talk in talks] == [True, False, True, True]
