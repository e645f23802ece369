"""Which calls a fault strikes: matching, counting, and the order of precedence.

Precedence, first match wins: a directive of the request itself; a queued fault, in the order they were queued; a
fault of the world file, in the order of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Annotated, Final

from msgspec import Meta, Struct

from mock_server.contract.errors import FORCED
from mock_server.contract.messages import ENCODER
from mock_server.core.added import Added, added
from mock_server.core.dice import Concern, Dice
from mock_server.core.faults import Fault, FaultError, check_fits, parse_fault

MAX_RULES: Final = 1_000


class Match(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which calls; what is absent matches all."""

    key: Annotated[str | None, Meta(description="the API key")] = None
    test: Annotated[str | None, Meta(description="the test id of X-Mock-Test")] = None
    text: Annotated[str | None, Meta(description="a part of any message's text")] = None
    provider: Annotated[str | None, Meta(description="the provider that is to answer")] = None
    model: Annotated[str | None, Meta(description="the model that is to answer")] = None
    stream: Annotated[bool | None, Meta(description="whether a stream is asked for")] = None

    @property
    def needs_route(self) -> bool:
        """Whether it can only be told once it is known who answers."""
        return self.provider is not None or self.model is not None


class FaultRule(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A fault and the calls it strikes: the next `times`, one in `every`, a `rate`, or exactly `hits` in each `of`."""

    match: Annotated[Match, Meta(description="which calls")] = Match()
    code: Annotated[int | None, Meta(description="status of the error to answer with")] = None
    fault: Annotated[str | None, Meta(description="a wire fault, as in X-Mock-Fault")] = None
    times: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="the next N matching calls")] = None
    every: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="every K-th matching call")] = None
    rate: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None, Meta(description="share of calls; which ones is fixed by the seed")
    ] = None
    hits: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="exactly so many in each `of` calls")] = None
    of: Annotated[Annotated[int, Meta(ge=1, le=10_000)] | None, Meta(description="size of a block for `hits`")] = None
    headers: Annotated[
        dict[str, str], Meta(description="header lines of the error besides its own, or in place of them")
    ] = {}


class Strike(Struct, frozen=True, gc=False):
    """What strikes a call: an error status, or a fault on the wire."""

    code: int | None = None
    fault: Fault | None = None
    headers: Added = ()


NO_STRIKE: Final = Strike()


class Identity(Struct, frozen=True, gc=False):
    """What a call asks, as a fingerprint, and how often its test asked the same before: what all draws are keyed on."""

    fingerprint: bytes
    occurrence: int


class Facts(Struct, frozen=True, gc=False):
    """What is known of a call when rules are asked; ``text`` tells whether a part occurs in any message."""

    key: str
    test: str
    stream: bool
    has_text: Callable[[str], bool]
    fingerprint: bytes
    occurrence: int
    provider: str = ""
    model: str = ""


def compile_rule(rule: FaultRule) -> Strike:
    """What ``rule`` strikes with. Raises :class:`FaultError` when it is not one clear thing."""
    if (rule.code is None) == (rule.fault is None):
        raise FaultError("give either code or fault")
    pickers = [name for name in ("times", "every", "rate", "hits") if getattr(rule, name) is not None]
    if len(pickers) > 1:
        raise FaultError(f"{' and '.join(pickers)} contradict each other; give one of times, every, rate, hits with of")
    if (rule.hits is None) != (rule.of is None):
        raise FaultError("hits and of go together: exactly `hits` in each `of` calls")
    if rule.hits is not None and rule.of is not None and rule.hits > rule.of:
        raise FaultError(f"hits must be at most of, {rule.of}, not {rule.hits}")
    if rule.code is not None:
        if rule.code not in FORCED:
            raise FaultError(f"code must be one of {', '.join(map(str, sorted(FORCED)))}, not {rule.code}")
        return Strike(code=rule.code, headers=added(rule.headers))
    if rule.headers:
        raise FaultError("headers go with code; a fault on the wire has none of its own")
    assert rule.fault is not None
    fault = parse_fault(rule.fault)
    if rule.match.stream is not None and (why := check_fits(fault, stream=rule.match.stream)):
        raise FaultError(why)
    return Strike(fault=fault)


class ActiveRule:
    """A rule at work. Mutable: how many matching calls it saw, how many it struck, and how many of these it may miss.

    Its draws are keyed on what it says and on how many rules of its test that say the same came ``before`` it, so that
    other rules, of this test or another, change nothing about them.
    """

    __slots__ = ("_block", "_chosen", "_name", "before", "pending", "rule", "seen", "strike", "struck")

    def __init__(self, rule: FaultRule, before: int) -> None:
        self.rule = rule
        self.before = before
        self.strike = compile_rule(rule)
        self.seen = 0
        self.struck = 0
        self.pending = 0  # of those struck: calls in flight
        self._name = blake2b(ENCODER.encode((rule, before)), digest_size=16).digest()
        self._block = -1
        self._chosen: frozenset[int] = frozenset()  # places in that block that are struck

    @property
    def spent(self) -> bool:
        """Whether it will never strike again."""
        return self.rule.times is not None and self.struck >= self.rule.times

    def matches(self, facts: Facts) -> bool:
        """Whether it is about this call, and still strikes."""
        return not self.spent and self.concerns(facts)

    def concerns(self, facts: Facts) -> bool:
        """Whether it is about this call."""
        match, fault = self.rule.match, self.strike.fault
        return (
            match.key in (None, facts.key)
            and match.test in (None, facts.test)
            and match.stream in (None, facts.stream)
            and match.provider in (None, facts.provider)
            and match.model in (None, facts.model, f"{facts.provider}/{facts.model}")
            and (fault is None or check_fits(fault, stream=facts.stream) is None)
            and (match.text is None or facts.has_text(match.text))
        )

    def picks(self, facts: Facts, dice: Dice, after: int = 0) -> bool:
        """Whether it strikes the next matching call but ``after`` others, if that is this one."""
        rule, place = self.rule, self.seen + after
        if rule.every is not None:
            return (place + 1) % rule.every == 0
        if rule.rate is not None:
            return dice.roll(facts.fingerprint + self._name, facts.occurrence, 0).uniform(Concern.FATE) < rule.rate
        if rule.of is not None and rule.hits is not None:
            block, offset = divmod(place, rule.of)
            if block != self._block:
                order = sorted(range(rule.of), key=lambda at: dice.roll(self._name, block, at).bits(Concern.FATE))
                self._block, self._chosen = block, frozenset(order[: rule.hits])
            return offset in self._chosen
        return True

    def foresee(self, facts: Facts, dice: Dice, others: int) -> tuple[bool, bool]:
        """Whether it may strike a matching call that up to ``others`` come before, and whether it must."""
        rule = self.rule
        if rule.times is not None:
            return True, self.struck + others < rule.times
        turns = min(others, rule.every or rule.of or 0) + 1
        picked = [self.picks(facts, dice, after) for after in range(turns)]
        return any(picked), all(picked)


class Choice(Struct, frozen=True, gc=False):
    """What strikes a call, if anything does, and the rules that matched it; it is the last of these that strikes."""

    strike: Strike | None
    matched: tuple[ActiveRule, ...]

    def commit(self) -> None:
        """The call goes ahead: let the rules count it. One that is refused anyway is none of theirs."""
        for active in self.matched:
            active.seen += 1
        if self.strike is not None:
            self.matched[-1].struck += 1
            self.matched[-1].pending += 1

    def settle(self, *, missed: bool) -> None:
        """What strikes has struck, or will not be missed; or it ``missed``, for the call failed by itself before.

        A rule about the next calls strikes another one then. To all others the call counts as seen: which ones they
        pick must not hang on when calls in flight fail.
        """
        self.matched[-1].pending -= 1
        self.matched[-1].struck -= missed


NO_CHOICE: Final = Choice(None, ())


class RuleBook:
    """Rules of one test in order of precedence. Mutable: rules are added, spent and cleared."""

    __slots__ = ("rules",)

    def __init__(self, rules: Iterable[FaultRule] = ()) -> None:
        self.rules: list[ActiveRule] = []
        for rule in rules:
            self.add(rule)

    def add(self, rule: FaultRule) -> ActiveRule:
        """Add a rule behind the others. Raises :class:`FaultError` when it is unclear or there are too many."""
        self.rules = [active for active in self.rules if active.pending or not active.spent]
        if len(self.rules) >= MAX_RULES:
            raise FaultError(f"there are {MAX_RULES} faults already; clear some first")
        taken = {active.before for active in self.rules if active.rule == rule}
        active = ActiveRule(rule, next(before for before in range(len(taken) + 1) if before not in taken))
        self.rules.append(active)
        return active

    def choose(self, facts: Facts, dice: Dice, *, routed: bool) -> Choice:
        """What is to strike this call; asked once before routing and once after, each rule only at its time."""
        if not self.rules:
            return NO_CHOICE
        matched = []
        for active in self.rules:
            if active.rule.match.needs_route is routed and active.matches(facts):
                matched.append(active)
                if active.picks(facts, dice):
                    return Choice(active.strike, tuple(matched))
        return Choice(None, tuple(matched))

    def foresee(self, facts: Facts, dice: Dice, others: int) -> tuple[list[Strike], bool]:
        """All that may strike this call once it is routed, after up to ``others``; whether one of it must."""
        strikes = []
        for active in self.rules:
            may_strike = active.pending or not active.spent  # what it missed, it strikes with again
            if active.rule.match.needs_route and may_strike and active.concerns(facts):
                may, must = active.foresee(facts, dice, others)
                if may:
                    strikes.append(active.strike)
                if must:
                    return strikes, True
        return strikes, False

    def clear(self) -> int:
        """Remove all rules; how many there were."""
        cleared = len(self.rules)
        self.rules = []
        return cleared
