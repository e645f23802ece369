"""The mutable state of one test id: accounts, breakers, models under load, and what was asked before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mock_server.contract.messages import Strategy
from mock_server.core.account import Account
from mock_server.core.breaker import Breaker
from mock_server.core.canned import AnswerBook
from mock_server.core.dice import Dice, Occurrences
from mock_server.core.idempotency import IdempotencyKeys, Kept
from mock_server.core.provider import Planner, SimulatedModel
from mock_server.core.routing import Candidate
from mock_server.core.rules import NO_STRIKE, Facts, RuleBook, Strike
from mock_server.core.sticky import Conversations
from mock_server.core.world import Incident, Task, World

Rankings = dict[tuple[Strategy, Task, int], tuple[Candidate, ...]]
MAX_INCIDENTS: Final = 100


class Scope:
    """Everything that one test can change, and no other test can see. Mutable."""

    __slots__ = (
        "_accounts",
        "ailing",
        "answers",
        "begun",
        "breakers",
        "catalogue",
        "conversations",
        "dice",
        "forgotten",
        "given",
        "idempotency",
        "incidents",
        "models",
        "occurrences",
        "open",
        "planner",
        "queued",
        "rankings",
        "retired",
        "rules",
        "started",
        "test",
        "used",
        "world",
    )

    def __init__(
        self,
        test: str,
        world: World,
        catalogue: tuple[Candidate, ...],
        rankings: Rankings,
        planner: Planner,
        dice: Dice,
        now: float,
    ) -> None:
        self.test = test
        self.world = world
        self.begun = now
        self.retired = False  # a reset has put another in its place: what goes on in it is nobody's business
        self.forgotten = False  # the test was known before, and all about it has been forgotten since
        self.open = 0  # exchanges that are not closed yet
        self.used = 0  # tokens charged, as the journal was told: to be checked against the ledgers
        self.catalogue = catalogue
        self.rankings = rankings  # shared by all scopes that have the world's models as they are
        self.incidents = world.incidents
        self.started: dict[int, Incident] = {}  # incidents that are not the world's
        self.planner = planner
        self.dice = dice
        self.occurrences = Occurrences()  # of every call that could be understood and forced nothing
        self.rules = RuleBook(world.faults)
        self.queued = RuleBook()  # come before the world's
        self.answers = AnswerBook(world.answers)
        self.given = AnswerBook()  # come before the world's
        self.idempotency: IdempotencyKeys[Kept] = IdempotencyKeys()
        self.models = {c.name: SimulatedModel(c, world.incidents, now) for c in catalogue}
        self.breakers = {m.candidate.provider: Breaker(world.breaker) for m in self.models.values()}
        self.conversations = Conversations(world.routing.sticky_s)
        self.ailing: set[str] = set()  # providers whose breaker is not closed
        self._accounts: dict[str, Account] = {}  # made when first asked for

    @property
    def in_flight(self) -> int:
        """How many calls of it are in flight."""
        return sum(len(account.in_flight) for account in self._accounts.values())

    def possible_strikes(self, facts: Facts) -> list[Strike]:
        """All that may strike a call in flight which is routed so; the others in flight may be asked about before."""
        strikes, others = list[Strike](), self.in_flight - 1
        for book in (self.rules,) if self.retired else (self.queued, self.rules):
            more, certain = book.foresee(facts, self.dice, others)
            strikes += more
            if certain:
                return strikes
        return [*strikes, NO_STRIKE]

    def accounts(self) -> Iterator[Account]:
        """The accounts that were ever asked for."""
        return iter(self._accounts.values())

    def change_model(self, changed: Candidate, *, own_failures: bool, own_pace: bool) -> None:
        """Give a model other settings, here only; its own failure rates and latencies no longer heed the scales."""
        self.catalogue = tuple(changed if c.name == changed.name else c for c in self.catalogue)
        self.rankings = {}
        model = self.models[changed.name]
        model.candidate = changed
        model.own_failures, model.own_pace = own_failures, own_pace

    def start_incident(self, incident: Incident, now: float) -> int:
        """Let an incident begin now; its number. Raises ValueError when there are too many."""
        self.started = {n: old for n, old in self.started.items() if not old.over(now - self.begun)}
        if len(self.started) >= MAX_INCIDENTS:
            msg = f"there are {MAX_INCIDENTS} incidents already; end some first"
            raise ValueError(msg)
        number = max(self.started, default=0) + 1
        self.started[number] = incident
        self._meet()
        return number

    def end_incident(self, number: int) -> None:
        """End an incident that was started."""
        del self.started[number]
        self._meet()

    def _meet(self) -> None:
        self.incidents = (*self.started.values(), *self.world.incidents)
        for model in self.models.values():
            model.meet(self.incidents)

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
