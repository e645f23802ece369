"""The mutable state of one test id: accounts, breakers, models under load, and what was asked before."""

from __future__ import annotations

from collections.abc import Iterable

from mock_server.core.account import Account
from mock_server.core.breaker import Breaker
from mock_server.core.canned import AnswerBook
from mock_server.core.dice import Dice, Occurrences
from mock_server.core.idempotency import IdempotencyKeys, Kept
from mock_server.core.provider import Planner, SimulatedModel
from mock_server.core.routing import Candidate
from mock_server.core.rules import RuleBook
from mock_server.core.world import World


class Scope:
    """Everything that one test can change, and no other test can see. Mutable."""

    __slots__ = (
        "_accounts",
        "ailing",
        "answers",
        "asked",
        "breakers",
        "dice",
        "idempotency",
        "models",
        "occurrences",
        "planner",
        "rules",
        "test",
        "world",
    )

    def __init__(
        self, test: str, world: World, catalogue: Iterable[Candidate], planner: Planner, dice: Dice, now: float
    ) -> None:
        self.test = test
        self.world = world
        self.planner = planner
        self.dice = dice
        self.occurrences = Occurrences()
        self.asked = Occurrences()  # of rules, which also see calls that are then refused
        self.rules = RuleBook(world.faults)
        self.answers = AnswerBook(world.answers)
        self.idempotency: IdempotencyKeys[Kept] = IdempotencyKeys()
        self.models = {c.name: SimulatedModel(c, world.incidents, now) for c in catalogue}
        self.breakers = {m.candidate.provider: Breaker(world.breaker) for m in self.models.values()}
        self.ailing: set[str] = set()  # providers whose breaker is not closed
        self._accounts: dict[str, Account] = {}  # made when first asked for

    def account(self, key: str, now: float) -> Account | None:
        """The account of ``key``, or None where there is no such key."""
        account = self._accounts.get(key)
        if account is None:
            settings = self.world.accounts.get(key)
            if settings is None:
                return None
            account = Account(key, settings, self.world.plans[settings.plan], now)
            self._accounts[key] = account
        return account
