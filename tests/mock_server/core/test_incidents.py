"""Incidents: when they go on, whom they concern, and what they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mock_server.contract.errors import Refusal
from mock_server.contract.messages import ChatRequest
from mock_server.core.engine import Engine
from mock_server.core.session import Answer, Session
from mock_server.core.world import Incident

Engines = Callable[..., Engine]
Requests = Callable[..., ChatRequest]
Begin = Callable[..., Session]


@pytest.mark.parametrize(
    ("fields", "active", "quiet"),
    [
        ({}, [0.0, 1e9], []),
        ({"at": 10.0}, [10.0, 1e6], [0.0, 9.999]),
        ({"at": 10.0, "for": 5.0}, [10.0, 14.999], [9.999, 15.0, 1e6]),
        ({"for": 5.0}, [0.0, 4.9], [5.0, 100.0]),
        ({"at": 5.0, "for": 4.0, "every": 10.0}, [5.0, 8.9, 15.0, 18.9, 1005.0], [0.0, 4.9, 9.0, 14.9, 19.0]),
    ],
    ids=str,
)
def test_timelines(fields: dict[str, float], active: list[float], quiet: list[float]) -> None:
    incident = msgspec.convert({"kind": "outage", **fields}, Incident)
    assert [now for now in active if not incident.active(now)] == []
    assert [now for now in quiet if incident.active(now)] == []


@pytest.mark.parametrize(
    ("fields", "strengths"),
    [
        ({"at": 10.0, "for": 10.0}, [0.0, 1.0, 0.0, 0.0, 0.0]),
        ({"at": 10.0, "for": 10.0, "ramp": 20.0}, [0.0, 1.0, 1.0, 0.5, 0.0]),
        ({"for": 10.0, "ramp": 5.0, "every": 30.0}, [1.0, 1.0, 0.0, 1.0, 1.0]),
    ],
    ids=str,
)
def test_recoveries_with_a_ramp(fields: dict[str, float], strengths: list[float]) -> None:
    incident = msgspec.convert({"kind": "outage", **fields}, Incident)
    assert [incident.strength(now) for now in (0.0, 10.0, 20.0, 30.0, 40.0)] == pytest.approx(strengths)


@pytest.mark.parametrize(
    ("match", "concerns"),
    [("*", "abc"), ("alpha", "a"), ("alpha/one", "a"), ("*/two", "b"), ("[ab]*", "ab"), ("one", ""), ("Alpha", "")],
)
def test_matches(match: str, concerns: str) -> None:
    models = {"a": ("alpha", "one"), "b": ("beta", "two"), "c": ("gamma", "three")}
    incident = Incident("outage", match=match)
    assert "".join(letter for letter, model in models.items() if incident.concerns(*model)) == concerns


def failures(engine: Engine, begin: Begin, request_of: Requests, now: float, calls: int = 200) -> list[str | None]:
    """How the first attempts of ``calls`` calls to alpha at ``now`` end; the breaker is kept out of it."""
    found = list[str | None]()
    for call in range(calls):
        session = begin(engine, request_of(f"call {call}", strategy={"models": ["one"]}), now=now)
        found.append(session.attempt.failure)
        session.abandon(now)
    return found


def incident(**fields: Any) -> str:
    lines = [f"{key} = {msgspec.json.encode(value).decode()}" for key, value in fields.items()]
    return "[[incidents]]\n" + "\n".join(lines) + "\n"


def test_outages_fail_everything_while_they_last(engine_of: Engines, begin: Begin, request_of: Requests) -> None:
    engine = engine_of(incident(kind="outage", match="alpha", at=10, **{"for": 5}))
    assert set(failures(engine, begin, request_of, 9.9)) == {None}
    during = failures(engine, begin, request_of, 12.0)
    assert set(during) == {"error", "timeout", "refused"}
    assert during.count("error") / 200 == pytest.approx(0.8, abs=0.1)
    assert set(failures(engine, begin, request_of, 15.0)) == {None}


def test_rate_limited_upstreams_refuse_their_share(engine_of: Engines, begin: Begin, request_of: Requests) -> None:
    found = failures(engine_of(incident(kind="rate_limited", rate=0.5)), begin, request_of, 0.0)
    assert set(found) == {None, "rate_limited"}
    assert found.count("rate_limited") / 200 == pytest.approx(0.5, abs=0.12)


def test_brownouts_slow_the_whole_answer_and_fail_their_share(
    engine_of: Engines, begin: Begin, request_of: Requests
) -> None:
    clear = begin(engine_of(), request_of()).attempt
    slow = begin(engine_of(incident(kind="brownout", match="alpha", rate=0.0, slow=3.0)), request_of()).attempt
    assert slow.first_at == pytest.approx(3 * clear.first_at)
    assert slow.ends_at - slow.first_at == pytest.approx(3 * (clear.ends_at - clear.first_at))
    some = failures(engine_of(incident(kind="brownout", rate=0.2, slow=2.0)), begin, request_of, 0.0)
    assert 1 - some.count(None) / 200 == pytest.approx(0.2, abs=0.1)


def test_announced_incidents_are_routed_around(engine_of: Engines, begin: Begin, request_of: Requests) -> None:
    for announced, provider in ((True, "beta"), (False, "alpha")):
        engine = engine_of(incident(kind="outage", match="alpha", at=10, announced=announced, **{"for": 5}))
        for now, expected in ((9.0, "alpha"), (11.0, provider), (16.0, "alpha")):
            session = begin(engine, request_of(), now=now)
            assert session.attempt.candidate.provider == expected
            session.abandon(now)


def test_an_announced_incident_is_still_tried_last(
    engine_of: Engines, request_of: Requests, ask: Callable[..., Answer | Refusal], begin: Begin
) -> None:
    engine = engine_of(incident(kind="brownout", match="*", rate=0.0, announced=True))
    assert begin(engine, request_of()).attempt.candidate.provider == "alpha"
    answer = ask(engine, request_of(strategy={"models": ["one"]}))
    assert isinstance(answer, Answer)


def test_the_first_of_several_incidents_rules(engine_of: Engines, begin: Begin, request_of: Requests) -> None:
    both = incident(kind="rate_limited", match="alpha/*") + incident(kind="outage", match="alpha")
    assert set(failures(engine_of(both), begin, request_of, 0.0, calls=20)) == {"rate_limited"}
