"""Rules and incidents that could never strike: a world with one of them is a mistake, and so is queueing one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from mock_server.contract.errors import Refusal
from mock_server.core.canned import AnswerMatch, AnswerRule, Reply, names_model
from mock_server.core.faults import check_fits, parse_fault
from mock_server.core.rules import FaultRule, Match
from mock_server.core.world import Incident, World
from mock_server.edge.request import read_test_id
from mock_server.schema import did_you_mean

_REFUSED: Final = {
    "revoked": "match.key: this key is revoked, and its calls are refused before",
    "error": "match.key: calls with this key are answered 500 before anybody is asked; only a code takes its place",
    "outage": "match.key: with this key every model fails; only a code, or reset, fin, stall or delay before_headers, "
    "strikes that",
}


def never_strikes(rule: FaultRule, world: World, replies: Iterable[Reply]) -> str | None:
    """Why a fault can strike no call; None when it can. ``replies`` are the canned ones there are."""
    if rule.rate == 0:
        return "rate is 0: it would strike no call"
    return (
        _nobodys_calls(rule.match, world) or _refused_before(rule, world) or _nobody_answers(rule.match, world, replies)
    )


def never_answers(rule: AnswerRule, world: World) -> str | None:
    """Why a canned answer can answer no call; None when it can."""
    match, text = rule.match, rule.match.text
    if match.model is not None and not any(names_model(match.model, *name.split("/", 1)) for name in world.models):
        return _no_model("match.model", match.model, world.models)
    if text is not None and match.contains is not None and match.contains not in text:
        return "match.contains is no part of match.text: no call could match both"
    if text is not None and match.regex is not None and not _found(match.regex, text):
        return "match.regex is not found in match.text: no call could match both"
    if text is not None and not text.strip():
        return "match.text is blank, and a blank message is refused"
    if match.key in world.accounts and world.accounts[match.key].fate == "error":
        return _REFUSED["error"]
    return _nobodys_calls(match, world)


def never_happens(incident: Incident, world: World, *, paced: bool) -> str | None:
    """Why an incident changes nothing; None when it does. ``paced`` says whether anything takes time."""
    if not any(incident.concerns(*name.split("/", 1)) for name in world.models):
        return _no_model("match", incident.match, world.models)
    if incident.announced:  # its models are tried last, whatever else it does
        return None
    if incident.rate == 0 and incident.slow == 1:
        return "rate is 0 and slow is 1: it would change nothing"
    if incident.rate == 0 and not paced:
        return "rate is 0, and this world has no latencies for slow to multiply: it would change nothing"
    return None


def shadowed(place: int, rules: Sequence[FaultRule]) -> str | None:
    """Why the fault at a place never strikes: another one always forestalls it; None when it may."""
    rule = rules[place]
    for earlier, other in enumerate(rules):
        first = (other.match.needs_route, earlier) < (rule.match.needs_route, place)
        if first and _covers(other.match, rule.match) and _always_strikes(other, rule):
            return f"faults[{earlier}] is asked before it and strikes every call that it could"
    return None


def shadowed_answer(place: int, rules: Sequence[AnswerRule]) -> str | None:
    """Why the canned answer at a place is never given: an earlier one always forestalls it; None when it may."""
    for earlier, other in enumerate(rules[:place]):
        if _covers(other.match, rules[place].match):
            return f"answers[{earlier}] comes before it and answers every call that it could"
    return None


def _found(regex: str, text: str) -> bool:
    """Whether a rule's expression is found; what is none is refused by whoever compiles it."""
    try:
        return re.search(regex, text, re.DOTALL) is not None
    except re.error:
        return True


def _nobodys_calls(match: Match | AnswerMatch, world: World) -> str | None:
    if match.key is not None and match.key not in world.accounts:
        return "match.key: no account has this key, so that nothing would ever match"
    if match.key is not None and world.accounts[match.key].fate == "revoked":
        return _REFUSED["revoked"]
    if match.test is not None and isinstance(read := read_test_id(match.test.encode("utf-8", "replace")), Refusal):
        return f"match.test: {read.message.partition(': ')[2]}"
    return None


def _refused_before(rule: FaultRule, world: World) -> str | None:
    """Why the fate of a key leaves nothing for a fault to strike; None where it does, or the rule is none."""
    account = None if rule.match.key is None else world.accounts[rule.match.key]
    if account is None or account.fate == "normal":
        return None
    fault = None if rule.fault is None else parse_fault(rule.fault)
    struck = fault is None or (account.fate == "outage" and fault.strikes_failures)
    return None if struck and not rule.match.needs_route else _REFUSED[account.fate]


def _nobody_answers(match: Match, world: World, replies: Iterable[Reply]) -> str | None:
    models = world.models
    simulated = [tuple(name.split("/", 1)) for name in models]
    pairs = dict.fromkeys(simulated)
    for named in {(reply.provider, reply.model) for reply in replies}:
        # What it does not name is as the simulation has it.
        pairs |= dict.fromkeys((named[0] or provider, named[1] or model) for provider, model in simulated)
    by_provider = [pair for pair in pairs if match.provider in (None, pair[0])]
    if not by_provider and match.provider is not None:
        return _no_model("match.provider", match.provider, models)
    if any(match.model in (None, model, f"{provider}/{model}") for provider, model in by_provider):
        return None
    assert match.model is not None
    if any(match.model in (model, f"{provider}/{model}") for provider, model in pairs):
        return f"match.model is not one of match.provider's: {match.model!r}; {match.provider!r} has " + ", ".join(
            model for _, model in by_provider
        )
    return _no_model("match.model", match.model, models)


def _no_model(setting: str, wanted: str, models: Iterable[str]) -> str:
    names = list(models)
    known = [*names, *(part for name in names for part in name.split("/", 1))]
    hint = did_you_mean(wanted, known)
    return f"{setting} is about no model: {wanted[:60]!r}{': ' if hint else '; '}{hint}models are {', '.join(names)}"


def _always_strikes(rule: FaultRule, others: FaultRule) -> bool:
    """Whether a rule strikes each call that it is asked about, of those that another rule could strike."""
    if rule.times is not None or rule.every not in (None, 1) or rule.rate not in (None, 1) or rule.hits != rule.of:
        return False
    if rule.fault is None:
        return True
    fault = parse_fault(rule.fault)
    streams = [True, False] if others.match.stream is None else [others.match.stream]
    if others.fault is not None:
        streams = [stream for stream in streams if check_fits(parse_fault(others.fault), stream=stream) is None]
    return all(check_fits(fault, stream=stream) is None for stream in streams)


def _covers(wide: Match | AnswerMatch, narrow: Match | AnswerMatch) -> bool:
    """Whether whatever ``narrow`` matches is matched by ``wide``, as far as equal settings tell."""
    named = [name for name in wide.__struct_fields__ if getattr(wide, name) is not None]
    return all(getattr(wide, name) == getattr(narrow, name) for name in named)
