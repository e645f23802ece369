"""Rules and incidents that could never strike: a world with one of them is a mistake, and so is queueing one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from mock_server.contract.errors import Refusal
from mock_server.core.canned import AnswerMatch, AnswerRule, names_model
from mock_server.core.faults import check_fits, parse_fault
from mock_server.core.rules import FaultRule, Match
from mock_server.core.world import AccountSettings, Incident, Model, World
from mock_server.edge.request import read_test_id
from mock_server.schema import did_you_mean

Models = Mapping[str, Model]


def never_strikes(rule: FaultRule, world: World) -> str | None:
    """Why a fault can strike no call; None when it can."""
    return _nobodys_calls(rule.match, world.accounts) or _nobody_answers(rule.match, world.models)


def never_answers(rule: AnswerRule, world: World) -> str | None:
    """Why a canned answer can answer no call; None when it can."""
    match, text = rule.match, rule.match.text
    if match.model is not None and not any(names_model(match.model, *name.split("/", 1)) for name in world.models):
        return _no_model("match.model", match.model, world.models)
    if text is not None and match.contains is not None and match.contains not in text:
        return "match.contains is no part of match.text: no call could match both"
    if text is not None and match.regex is not None and not _found(match.regex, text):
        return "match.regex is not found in match.text: no call could match both"
    return _nobodys_calls(match, world.accounts)


def never_happens(incident: Incident, world: World) -> str | None:
    """Why an incident changes nothing; None when it does."""
    if not any(incident.concerns(*name.split("/", 1)) for name in world.models):
        return _no_model("match", incident.match, world.models)
    if incident.announced:  # its models are tried last, whatever else it does
        return None
    if incident.rate == 0 and incident.slow == 1:
        return "rate is 0 and slow is 1: it would change nothing"
    if incident.rate == 0 and world.latency_scale == 0:
        return "rate is 0, and this world has no latencies for slow to multiply: it would change nothing"
    return None


def shadowed(rules: Sequence[FaultRule]) -> Iterator[tuple[int, str]]:
    """Faults that another one always forestalls: the place of each, and why."""
    for place, rule in enumerate(rules):
        for earlier, other in enumerate(rules):
            first = (other.match.needs_route, earlier) < (rule.match.needs_route, place)
            if first and _always_strikes(other, rule) and _covers(other.match, rule.match):
                yield place, f"faults[{earlier}] is asked before it and strikes every call that it could"


def shadowed_answers(rules: Sequence[AnswerRule]) -> Iterator[tuple[int, str]]:
    """Canned answers that an earlier one always forestalls: the place of each, and why."""
    for place, rule in enumerate(rules):
        for earlier, other in enumerate(rules[:place]):
            if _covers(other.match, rule.match):
                yield place, f"answers[{earlier}] comes before it and answers every call that it could"


def _found(regex: str, text: str) -> bool:
    """Whether a rule's expression is found; what is none is refused by whoever compiles it."""
    try:
        return re.search(regex, text, re.DOTALL) is not None
    except re.error:
        return True


def _nobodys_calls(match: Match | AnswerMatch, accounts: Mapping[str, AccountSettings]) -> str | None:
    if match.key is not None and match.key not in accounts:
        return "match.key: no account has this key, so that nothing would ever match"
    if match.key is not None and accounts[match.key].fate == "revoked":
        return "match.key: this key is revoked, and its calls are refused before"
    if match.test is not None and isinstance(read := read_test_id(match.test.encode("utf-8", "replace")), Refusal):
        return f"match.test: {read.message.partition(': ')[2]}"
    return None


def _nobody_answers(match: Match, models: Models) -> str | None:
    pairs = [name.split("/", 1) for name in models]
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
