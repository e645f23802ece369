"""Model clients that play against scripted answers in time that costs none, and leave a journal's entries behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from msgspec.structs import replace

from mock_server.contract.errors import FORCED
from mock_server.edge.journal import Entry

START_UNIX_S = 1_790_000_000.0
GAVE_UP_AFTER = 40  # a client that never does is stopped by its test


def entry(**known: Any) -> Entry:
    """An entry of a good plain call but for what is known of it."""
    at = known.get("arrived_unix_s", START_UNIX_S)
    usual: dict[str, Any] = {
        "request_id": "req_0000001",
        "at_s": at - START_UNIX_S,
        "test": "t",
        "key": "…free",
        "status": 200,
        "code": "",
        "stream": False,
        "provider": "",
        "model": "",
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "charged": 0,
        "planned_ms": 10.0,
        "first_ms": 10.0,
        "overhead_ms": 0.0,
        "took_ms": 10.0,
        "ending": "complete",
        "fault": "",
        "struck": False,
        "attempts": (),
        "forgotten": False,
        "arrived_unix_s": at,
        "connection": 1,
        "on_connection": 1,
        "path": "/v1/llm/auto",
        "content_type": "application/json",
        "body_hash": "b",
        "key_place": "authorization",
    }
    return Entry(**(usual | known))


@dataclass(frozen=True)
class Answer:
    """What a try meets. ``took_s`` is how long it takes, ``more`` what else the journal says of it."""

    status: int = 200
    retry_after_s: float | None = None
    fault: str = ""
    stream: bool = False
    took_s: float = 0.01
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def lost(self) -> bool:
        """Whether no answer came at all."""
        return self.fault.startswith("reset;stage=before_headers")

    @property
    def good(self) -> bool:
        return self.status == 200 and not self.lost

    def fields(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "status": self.status,
            "took_ms": self.took_s * 1e3,
            "retry_after_s": self.retry_after_s,
        }
        if self.status >= 400:
            said |= {"code": FORCED[self.status].code, "fault": f"code={self.status}", "struck": True}
        elif self.fault:
            said |= {"fault": self.fault, "struck": True, "ending": "fault"}
            if self.lost:
                said["status"] = 0
        else:
            said |= {"charged": 20}
        return said | {"stream": self.stream} | self.more


OK = Answer()
RESET = Answer(fault="reset;stage=before_headers")
BROKEN = Answer(fault="reset;stage=mid_stream;after=3", stream=True, more={"pieces": 3})
EOF = Answer(fault="eof;stage=mid_stream;after=3", stream=True, more={"pieces": 3})
ERROR_EVENT = Answer(fault="error_event;stage=mid_stream;after=1", stream=True, more={"pieces": 1})


def refused(status: int, retry_after_s: float | None = None) -> Answer:
    return Answer(status, retry_after_s)


@dataclass(frozen=True)
class Policy:
    """What a client does by itself. ``own_wait`` gives its wait before the n-th retry, counted from 0.

    ``obeys_s`` is the longest announced wait it obeys, None where it ignores the header; ``beyond`` what it does with
    longer ones. ``needs_header``: it gives up on a 429 that announces nothing.
    """

    more: int = 2
    own_wait: Callable[[int, Random], float] = lambda _n, _dice: 0.0
    statuses: frozenset[int] = frozenset({429, 500, 502})
    resets: bool = True
    obeys_s: float | None = None
    beyond: Literal["give up", "own wait", "cut"] = "own wait"
    needs_header: bool = False
    jitter_on_top: bool = False
    stainless: bool = False
    pooled: bool = True
    reaction_s: float = 0.004

    def wait(self, answer: Answer, number: int, dice: Random) -> float | None:
        """How long it waits before it tries again; None where it does not."""
        if number >= self.more or not (self.resets if answer.lost else answer.status in self.statuses):
            return None
        own, told = self.own_wait(number, dice), answer.retry_after_s
        if told is None:
            return None if self.needs_header and answer.status == 429 else own
        if self.obeys_s is None:
            return own
        if told <= self.obeys_s:
            return told + (own if self.jitter_on_top else 0.0)
        return {"give up": None, "own wait": own, "cut": self.obeys_s}[self.beyond]


class Client:
    """One client with its policy. Mutable: the time, its connections, and the entries it has left."""

    def __init__(self, policy: Policy, *, seed: int = 0, test: str = "t") -> None:
        self.policy = policy
        self.entries: list[Entry] = []
        self.now = START_UNIX_S
        self._dice = Random(seed)  # noqa: S311 - decides nothing that must be secret
        self._test = test
        self._bodies = 0
        self._connection = self._on_connection = 0

    def call(self, answers: Sequence[Answer], *, body: str = "", **more: Any) -> None:
        """One call of the application: its first try, and those after it while the policy says so.

        The last answer repeats. ``body`` is another one for each call unless given.
        """
        self._bodies += 1
        told = self._told(answers)
        for number in range(GAVE_UP_AFTER):
            answer = next(told)
            count = {"retry_count": number} if self.policy.stainless else {}
            self._send(answer, {"body_hash": body or f"body-{self._bodies}"} | count | more)
            wait = None if answer.good else self.policy.wait(answer, number, self._dice)
            if wait is None:
                break
            self.now += wait
        self.now += 1.0

    def _told(self, answers: Sequence[Answer]) -> Iterator[Answer]:
        yield from answers
        while True:
            yield answers[-1]

    def _send(self, answer: Answer, more: dict[str, Any]) -> None:
        self.now += self.policy.reaction_s
        connected_ms = None
        if self._on_connection and self.policy.pooled:
            self._on_connection += 1
        else:
            self._connection, self._on_connection = self._connection + 1, 1
            connected_ms = self.policy.reaction_s * 1e3 / 2
        sent = entry(
            request_id=f"req_{len(self.entries):07x}",
            test=self._test,
            arrived_unix_s=self.now,
            connection=self._connection,
            on_connection=self._on_connection,
            connected_ms=connected_ms,
            **(answer.fields() | more),
        )
        self.entries.append(sent)
        self.now += answer.took_s
        if sent.ending != "complete":
            self._on_connection = 0


def attested(entries: Sequence[Entry], outcome: str) -> list[Entry]:
    """The entries, with an application that says what it made of each."""
    return [replace(each, attested=outcome) for each in entries]
