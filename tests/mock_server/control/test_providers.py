"""Providers and incidents, changed at will."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mock_server.control.conftest import Plane
from tests.mock_server.wire import assert_refused, chat, timing

ONLY_GROQ = chat(strategy={"providers": {"only": ["groq"]}})


def model_of(view: Any, name: str) -> Any:
    return next(model for model in view["models"] if model["name"] == name)


def test_a_provider_made_to_fail_fails_for_its_test_only(plane: Plane) -> None:
    view = plane.put("providers/groq", {"error_rate": 1}, test="mine")
    assert {(model["error_rate"], model["changed"]) for model in view["models"]} == {(1.0, True)}
    assert plane.mock.call(ONLY_GROQ, test="mine").status_code == 502
    assert plane.mock.call(ONLY_GROQ, test="other").status_code == 200
    assert plane.mock.call(ONLY_GROQ).status_code == 200
    restored = plane.put("providers/groq", {"reset": True}, test="mine")
    assert not any(model["changed"] for model in restored["models"])
    assert plane.mock.call(ONLY_GROQ, test="mine").status_code == 200


def test_a_price_decides_who_is_cheapest(plane: Plane) -> None:
    cheapest = chat(strategy={"mode": "cost"})
    before = plane.mock.call(cheapest).json()
    other = next(p["provider"] for p in plane.get("providers")["providers"] if p["provider"] != before["provider"])
    view = plane.get(f"providers/{other}")
    name = view["models"][0]["name"]
    changed = plane.put(f"providers/{name}", {"price_in": 0, "price_out": 0})
    assert [model["name"] for model in changed["models"]] == [name]
    after = plane.mock.call(cheapest).json()
    assert f"{after['provider']}/{after['model']}" == name
    assert plane.mock.call(cheapest, test="another").json()["model"] == before["model"]
    plane.mock.reset()
    assert plane.mock.call(cheapest).json()["model"] == before["model"]


def test_quality_decides_who_is_best(plane: Plane) -> None:
    for model in (m for p in plane.get("providers")["providers"] for m in p["models"]):
        plane.put(f"providers/{model['name']}", {"quality": 0.0 if "groq" not in model["name"] else 1.0})
    assert plane.mock.call(chat(strategy={"mode": "quality"})).json()["provider"] == "groq"


def test_a_latency_holds_as_it_stands_even_in_a_world_without(plane: Plane) -> None:
    plane.post("clock", {"auto": True})
    plane.put("providers/groq", {"ttft_ms": 4_000, "tokens_per_s": 1_000})
    answer = plane.mock.call(ONLY_GROQ)
    tokens = answer.json()["usage"]["completion_tokens"]
    assert timing(answer)["planned"] == pytest.approx(4_000 + tokens, rel=0.6)
    assert timing(answer)["planned"] > 4_000
    assert model_of(plane.get("providers/groq"), plane.get("providers/groq")["models"][0]["name"])["ttft_ms"] == 4_000


def test_a_latency_scale_multiplies_the_worlds_own(slow_plane: Plane) -> None:
    steady = chat(strategy={"models": ["slow/steady"]}, max_tokens=1)
    slow_plane.post("clock", {"auto": True})
    assert timing(slow_plane.mock.call(steady))["planned"] == pytest.approx(300, abs=1)
    for _ in range(2):  # of the world's, not of what is there
        slow_plane.put("providers/slow/steady", {"latency_scale": 3})
    assert timing(slow_plane.mock.call(steady))["planned"] == pytest.approx(900, abs=1)
    assert model_of(slow_plane.get("providers/slow"), "slow/glacial")["ttft_ms"] == 300


def test_a_breaker_is_opened_and_closed_by_hand(plane: Plane) -> None:
    plane.post("clock", {"freeze": True})
    opened = plane.put("providers/groq", {"breaker": "open"})
    assert (opened["breaker"], opened["healthy"]) == ("open", False)
    answer = plane.mock.call(ONLY_GROQ)
    assert_refused(answer, 502, "ALL_PROVIDERS_FAILED")
    assert float(answer.headers["retry-after"]) == opened["cooldown_s"] > 0
    assert plane.put("providers/groq", {"breaker": "closed"})["breaker"] == "closed"
    assert plane.mock.call(ONLY_GROQ).status_code == 200


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("groq", {}, "name something to change: price_in"),
        ("groq", {"error_rate": 1.1}, "error_rate: must be a number >= 0 and <= 1, not 1.1"),
        ("groq", {"eror_rate": 1}, "did you mean 'error_rate'?"),
        ("groq", {"tokens_per_s": 0}, "tokens_per_s: must be a number > 0"),
        ("groq", {"reset": False}, "reset: must be true"),
        ("groq", {"reset": True, "quality": 1}, "and goes alone"),
        ("groq", {"latency_scale": 2}, "this world has no latencies to multiply"),
        ("groq", {"latency_scale": 2, "ttft_ms": 5}, "contradict each other"),
        ("groq", {"breaker": "ajar"}, "breaker: must be one of closed, open"),
        ("openai/gpt-4.1", {"breaker": "open"}, "a provider has one, a model has none"),
        ("groq", {"price_in": None}, "price_in: must be a number"),
    ],
    ids=str,
)
def test_changes_that_cannot_be_made_are_refused(plane: Plane, name: str, body: object, says: str) -> None:
    before = plane.get("providers")
    assert_refused(plane.ask("PUT", f"providers/{name}", body), 400, "INVALID_MOCK_DIRECTIVE", says=says)
    assert plane.get("providers") == before


@pytest.mark.parametrize("name", ["acme", "openai/", "openai/none", "%00"])
def test_an_unknown_provider_is_not_found(plane: Plane, name: str) -> None:
    for method, body in (("GET", None), ("PUT", {"quality": 1})):
        assert_refused(plane.ask(method, f"providers/{name}", body), 404, "NOT_FOUND", says="there are anthropic")


def test_an_outage_is_started_and_ended(plane: Plane) -> None:
    started = plane.post("incidents", {"kind": "outage", "match": "groq", "for": 60}, test="mine")
    assert (started["strength"], started["incident"]["match"]) == (1.0, "groq")
    assert 59 < started["left_s"] <= 60
    assert plane.mock.call(ONLY_GROQ, test="mine").status_code == 502
    assert plane.mock.call(ONLY_GROQ).status_code == 200
    assert {m["incident"] for m in plane.get("providers/groq", test="mine")["models"]} == {"outage"}
    assert plane.delete(f"incidents/{started['id']}", test="mine") == {"ended": 1}
    plane.put("providers/groq", {"breaker": "closed"}, test="mine")
    assert plane.mock.call(ONLY_GROQ, test="mine").status_code == 200
    assert_refused(plane.ask("DELETE", f"incidents/{started['id']}", test="mine"), 404, "NOT_FOUND")


def test_an_incident_heals_by_itself(plane: Plane) -> None:
    plane.post("clock", {"freeze": True})
    plane.post("incidents", {"kind": "rate_limited", "match": "groq", "for": 60, "ramp": 40})
    assert plane.mock.call(ONLY_GROQ).status_code == 502
    strengths = []
    for _ in range(6):
        plane.post("clock", {"advance": 20})
        strengths.append(round(plane.get("incidents")["incidents"][0]["strength"], 9))
    assert strengths == [1.0, 1.0, 1.0, 0.5, 0.0, 0.0]
    assert plane.mock.call(ONLY_GROQ).status_code == 200


def test_an_announced_incident_is_routed_around(plane: Plane) -> None:
    quality = chat(strategy={"mode": "quality"})
    best = plane.mock.call(quality).json()["provider"]
    plane.post("incidents", {"kind": "outage", "match": best, "for": 60, "announced": True})
    answer = plane.mock.call(quality)
    assert (answer.status_code, timing(answer)["attempts"]) == (200, 1)
    route = plane.get(f"requests/{answer.headers['x-request-id']}/route")
    assert route["ranking"][-1].startswith(best)
    assert route["attempts"][0]["healthy"]
    assert plane.delete("incidents") == {"ended": 1}
    assert plane.mock.call(quality).json()["provider"] == best


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"kind": "outage"}, "for: is missing; it must be a number > 0"),
        ({"kind": "flood", "for": 1}, "kind: must be one of brownout, outage, rate_limited, not 'flood'"),
        ({"kind": "outage", "for": 0}, "for: must be a number > 0"),
        ({"kind": "outage", "for": 86_401}, "for: must be a number > 0 and <= 86400"),
        ({"kind": "outage", "for": 1, "match": "acme"}, "match is about no model: 'acme'; models are"),
        ({"kind": "brownout", "for": 1, "slow": 2}, "slow: this world has no latencies"),
        ({"kind": "outage", "for": 1, "at": 5}, "at: unknown key"),
    ],
    ids=str,
)
def test_incidents_that_cannot_be_are_refused(plane: Plane, body: object, says: str) -> None:
    assert_refused(plane.ask("POST", "incidents", body), 400, "INVALID_MOCK_DIRECTIVE", says=says)
    assert plane.get("incidents")["incidents"] == []


def test_the_number_of_incidents_is_bounded(plane: Plane) -> None:
    for _ in range(100):
        plane.post("incidents", {"kind": "outage", "match": "groq", "for": 600})
    answer = plane.ask("POST", "incidents", {"kind": "outage", "for": 1})
    assert_refused(answer, 400, "INVALID_MOCK_DIRECTIVE", says="there are 100 incidents already")


def test_what_a_test_has_made_slow_can_be_slowed(plane: Plane) -> None:
    plane.put("providers/openai", {"ttft_ms": 900}, test="slow")
    brownout = {"kind": "brownout", "for": 60, "rate": 0, "slow": 3}
    assert plane.post("incidents", brownout, test="slow")["incident"]["slow"] == 3
    refused = plane.ask("POST", "incidents", brownout, test="another")
    assert_refused(refused, 400, "INVALID_MOCK_DIRECTIVE", says="rate is 0, and this world has no latencies")
