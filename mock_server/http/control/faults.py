"""Faults and canned answers that are queued for calls to come."""

from __future__ import annotations

from typing import Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from mock_server.core.account import shown
from mock_server.core.canned import ActiveAnswer, AnswerMatch, AnswerRule
from mock_server.core.faults import FaultError
from mock_server.core.rules import ActiveRule, FaultRule, Match, compile_rule
from mock_server.core.scope import Scope
from mock_server.edge.request import MAX_TEST_ID, read_test_id
from mock_server.http.context import Context
from mock_server.http.control.asked import Asked, mistake
from mock_server.http.control.journal import same_test
from mock_server.http.control.possible import canned_replies
from mock_server.impossible import never_answers, never_strikes, shadowed, shadowed_answer

Source = Literal["queued", "world"]
M = TypeVar("M", Match, AnswerMatch)


class FaultView(Struct, frozen=True):
    """A fault rule, how many matching calls it saw, and how many it struck; a spent one strikes no more."""

    source: Source
    rule: FaultRule
    seen: int
    struck: int
    spent: bool


class Faults(Struct, frozen=True):
    """Fault rules in order of precedence: first those queued, then the world's."""

    faults: list[FaultView]


class AnswerView(Struct, frozen=True):
    """A canned answer, and how many calls it answered."""

    source: Source
    rule: AnswerRule
    answered: int


class Answers(Struct, frozen=True):
    """Canned answers in order of precedence: first those queued, then the world's."""

    answers: list[AnswerView]


class Cleared(Struct, frozen=True):
    """How many were removed."""

    cleared: int


def list_faults(context: Context, asked: Asked) -> Faults:
    """The queued faults, of the test or of everybody, and the world's as the test has met them so far."""
    queued = [rule for scope in _meant(context, asked) for rule in scope.queued.rules]
    world = context.scope(asked.test).rules.rules
    return Faults([*(_fault_view("queued", rule) for rule in queued), *(_fault_view("world", rule) for rule in world)])


def queue_fault(context: Context, asked: Asked) -> FaultView:
    """Let a fault strike the test's matching calls: the next `times`, one in `every`, a `rate`, `hits` in each `of`."""
    rule: FaultRule = asked.body
    match = _checked(asked.test, rule.match)
    queued, rule = context.scope(match.test).queued, replace(rule, match=match)
    try:
        compile_rule(rule)
        if why := never_strikes(rule, context.engine.world, canned_replies(context)):
            mistake(why)
        earlier = [active.rule for active in queued.rules if not active.spent]
        if why := shadowed(len(earlier), [*earlier, rule]):
            mistake(why)
        return _fault_view("queued", queued.add(rule))
    except FaultError as error:
        mistake(str(error))


def clear_faults(context: Context, asked: Asked) -> Cleared:
    """Remove the queued faults: all, or those of the test."""
    return Cleared(sum(scope.queued.clear() for scope in _meant(context, asked)))


def list_answers(context: Context, asked: Asked) -> Answers:
    """The queued canned answers, of the test or of everybody, and the world's as the test has met them so far."""
    queued = [rule for scope in _meant(context, asked) for rule in scope.given.rules]
    world = context.scope(asked.test).answers.rules
    return Answers([*(_answer_view("queued", r) for r in queued), *(_answer_view("world", r) for r in world)])


def queue_answer(context: Context, asked: Asked) -> AnswerView:
    """Give a canned answer to the test's matching calls: the first reply, then the next; the last one repeats."""
    rule: AnswerRule = asked.body
    match = _checked(asked.test, rule.match)
    if why := never_answers(rule, context.engine.world):
        mistake(why)
    given, rule = context.scope(match.test).given, replace(rule, match=match)
    if why := shadowed_answer(len(given.rules), [*(active.rule for active in given.rules), rule]):
        mistake(why)
    try:
        return _answer_view("queued", given.add(rule))
    except FaultError as error:
        mistake(str(error))


def clear_answers(context: Context, asked: Asked) -> Cleared:
    """Remove the queued canned answers: all, or those of the test."""
    return Cleared(sum(scope.given.clear() for scope in _meant(context, asked)))


def _meant(context: Context, asked: Asked) -> list[Scope]:
    """The state of the test, or everything there is."""
    return list(context.engine.scopes()) if asked.test is None else [context.scope(asked.test)]


def _checked(test: str | None, match: M) -> M:
    """The match with the test id of the header."""
    named = same_test(test, match.test, "match.test")
    if named is not None and not isinstance(read_test_id(named.encode("utf-8", "replace")), str):
        mistake(f"match.test must be 1 to {MAX_TEST_ID} visible ASCII characters")
    return replace(match, test=named)


def _fault_view(source: Source, active: ActiveRule) -> FaultView:
    match = active.rule.match
    rule = active.rule if match.key is None else replace(active.rule, match=replace(match, key=shown(match.key)))
    return FaultView(source, rule, active.seen, active.struck, active.spent)


def _answer_view(source: Source, active: ActiveAnswer) -> AnswerView:
    match = active.rule.match
    rule = active.rule if match.key is None else replace(active.rule, match=replace(match, key=shown(match.key)))
    return AnswerView(source, rule, active.answered)
