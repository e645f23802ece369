"""Canned answers: a given answer for a matching call, instead of a simulated one.

Rules are tried in order; the first that matches answers. A rule with several replies gives the first to the first
matching call, the second to the next, and the last to all that follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from mock_server.contract.tokens import estimate
from mock_server.core.added import Added, added
from mock_server.core.faults import MAX_FOR_S, Fault, FaultError, parse_fault

MAX_RULES: Final = 1_000
_NEAREST: Final = 3
_PIECE: Final = re.compile(r"\s*(?:[\u4e00-\u9fff]{1,2}[，。！？、；：]?|[^\s\u4e00-\u9fff]+)\s*", re.DOTALL)


class AnswerMatch(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which calls; what is absent matches all. Texts are compared with the last user message."""

    text: Annotated[str | None, Meta(description="the whole last user message")] = None
    contains: Annotated[str | None, Meta(description="a part of it")] = None
    regex: Annotated[str | None, Meta(description="a regular expression found in it")] = None
    model: Annotated[str | None, Meta(description="glob on the model, or provider/model, ranked first")] = None
    key: Annotated[str | None, Meta(description="the API key")] = None
    test: Annotated[str | None, Meta(description="the test id of X-Mock-Test")] = None


class Reply(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What to answer; what is absent is as the simulation would have it."""

    text: Annotated[str, Meta(min_length=1, description="the answer")]
    prompt_tokens: Annotated[Annotated[int, Meta(ge=0)] | None, Meta(description="in usage")] = None
    completion_tokens: Annotated[Annotated[int, Meta(ge=0)] | None, Meta(description="in usage")] = None
    model: Annotated[str | None, Meta(description="name in the answer")] = None
    provider: Annotated[str | None, Meta(description="name in the answer")] = None
    finish_reason: Annotated[Literal["stop", "length"], Meta(description="of a stream")] = "stop"
    delay_s: Annotated[
        Annotated[float, Meta(ge=0, le=MAX_FOR_S)], Meta(description="simulated seconds until the answer")
    ] = 0.0
    fault: Annotated[str | None, Meta(description="a wire fault, as in X-Mock-Fault")] = None
    headers: Annotated[
        dict[str, str], Meta(description="header lines besides those of every answer, or in place of them")
    ] = {}


class AnswerRule(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Replies for matching calls, one after the other; the last one repeats."""

    replies: Annotated[tuple[Reply, ...], Meta(min_length=1, description="first, second, then")]
    match: Annotated[AnswerMatch, Meta(description="which calls")] = AnswerMatch()


class Question(Struct, frozen=True, gc=False):
    """What a call is matched by."""

    text: str
    provider: str
    model: str
    key: str
    test: str


class CannedPieces(Struct, frozen=True, gc=False):
    """Where the pieces end, in characters; ``tokens`` are those of all."""

    ends: list[int]
    tokens: int

    def tokens_to(self, place: int) -> int:
        """The tokens up to the end of piece ``place``: spread evenly over the characters."""
        return self.tokens * self.ends[place] // self.ends[-1]


class CannedPassage(Struct, frozen=True, gc=False):
    """A given text, cut into the pieces of a stream; ``tokens`` is what usage says."""

    text: str
    tokens: int

    def pieces(self) -> CannedPieces:
        """Words, or one to two Chinese characters."""
        ends = [match.end() for match in _PIECE.finditer(self.text)]
        if not ends or ends[-1] != len(self.text):
            ends.append(len(self.text))
        return CannedPieces(ends, self.tokens)


class ActiveAnswer:
    """A rule at work. Mutable: how many calls it answered."""

    __slots__ = ("_faults", "_headers", "_regex", "answered", "rule")

    def __init__(self, rule: AnswerRule) -> None:
        self.rule = rule
        self.answered = 0
        self._headers = [added(reply.headers) for reply in rule.replies]
        self._faults = [None if reply.fault is None else parse_fault(reply.fault) for reply in rule.replies]
        try:
            self._regex = None if rule.match.regex is None else re.compile(rule.match.regex, re.DOTALL)
        except re.error as error:
            raise FaultError(f"match.regex is not a regular expression: {error}") from None

    def misses(self, asked: Question) -> list[str]:
        """Why it does not match; empty when it does."""
        match = self.rule.match
        found: tuple[tuple[str, str | None, bool], ...] = (
            ("text", match.text, asked.text == match.text),
            ("contains", match.contains, match.contains is not None and match.contains in asked.text),
            ("regex", match.regex, self._regex is not None and self._regex.search(asked.text) is not None),
            ("model", match.model, match.model is not None and names_model(match.model, asked.provider, asked.model)),
            ("test", match.test, match.test == asked.test),
        )
        misses = [f"{name} is {wanted!r}" for name, wanted, hit in found if wanted is not None and not hit]
        if match.key is not None and match.key != asked.key:
            misses.append("the key is another")
        return misses

    def next_reply(self) -> tuple[Reply, Fault | None, Added]:
        """The reply whose turn it is, its fault, and the header lines it adds; whoever gives it counts it."""
        turn = min(self.answered, len(self.rule.replies) - 1)
        return self.rule.replies[turn], self._faults[turn], self._headers[turn]

    def likeness(self, asked: Question) -> float:
        """How near its text is to what was asked, from 0 to 1."""
        match = self.rule.match
        wanted = match.text or match.contains or match.regex or ""
        return SequenceMatcher(None, wanted[:500], asked.text[:500], autojunk=False).ratio()


def names_model(glob: str, provider: str, model: str) -> bool:
    """Whether ``glob`` is about this model, by its own name or as provider/model."""
    return fnmatchcase(model, glob) or fnmatchcase(f"{provider}/{model}", glob)


class AnswerBook:
    """Canned answers of one test in order of precedence. Mutable: rules are added, counted and cleared."""

    __slots__ = ("rules",)

    def __init__(self, rules: Iterable[AnswerRule] = ()) -> None:
        self.rules = [ActiveAnswer(rule) for rule in rules]

    def add(self, rule: AnswerRule) -> ActiveAnswer:
        """Add a rule behind the others. Raises :class:`FaultError` when it is unclear or there are too many."""
        if len(self.rules) >= MAX_RULES:
            raise FaultError(f"there are {MAX_RULES} canned answers already; clear some first")
        active = ActiveAnswer(rule)
        self.rules.append(active)
        return active

    def find(self, asked: Question) -> ActiveAnswer | None:
        """The first rule that matches."""
        return next((active for active in self.rules if not active.misses(asked)), None)

    def explain(self, asked: Question) -> str:
        """Why nothing matched: the nearest rules and what they wanted."""
        if not self.rules:
            return "no canned answer matches: there are none"
        nearest = sorted(self.rules, key=lambda active: -active.likeness(asked))[:_NEAREST]
        reasons = "; ".join(
            f"answer {self.rules.index(active)} wants {' and '.join(active.misses(asked))}" for active in nearest
        )
        return f"no canned answer matches; nearest: {reasons}"

    def clear(self) -> int:
        """Remove all rules; how many there were."""
        cleared = len(self.rules)
        self.rules = []
        return cleared


def passage_of(reply: Reply) -> CannedPassage:
    """The reply's text; its tokens as given, or estimated."""
    tokens = estimate(reply.text) if reply.completion_tokens is None else reply.completion_tokens
    return CannedPassage(reply.text, tokens)
