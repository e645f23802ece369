"""One request and its answer: identity, headers, timing, and the entry it leaves in the journal. Nothing here waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from mock_server.contract.errors import Refusal
from mock_server.contract.messages import ENCODER, ChatResponse
from mock_server.core.account import Account
from mock_server.core.added import Added
from mock_server.core.engine import BROKEN, Engine
from mock_server.core.faults import Fault, check_fits
from mock_server.core.idempotency import Kept
from mock_server.core.rules import Choice, Facts
from mock_server.core.scope import Scope
from mock_server.core.session import NO_ANSWER, Answer, Session, Step
from mock_server.edge.answers import (
    EVENTS_TYPE,
    FORGOTTEN,
    JSON_TYPE,
    NO_CACHE,
    NO_TIMING,
    Headers,
    Timing,
    WholeAnswer,
    error_body,
    error_headers,
    forced_refusal,
    quota_headers,
    status_of,
    with_added,
)
from mock_server.edge.journal import Entry, Journal
from mock_server.edge.notes import Notes
from mock_server.edge.request import bad_directive

ID_HEADER: Final = b"x-request-id"
_NO_STEPS: Final[tuple[Step, ...]] = ()


class Exchanges:
    """What all exchanges of one mock share: the engine, the journal, and the ids of requests. Mutable: these three.

    ``scale`` is wall seconds per simulated second; ``unix_now`` reads the calendar clock in seconds, for headers that
    announce calendar times.
    """

    __slots__ = ("_ids", "engine", "journal", "scale", "unix_now")

    def __init__(self, engine: Engine, scale: float, unix_now: Callable[[], float]) -> None:
        self.engine = engine
        self.journal = Journal()
        self.scale = scale
        self.unix_now = unix_now
        self._ids = request_ids(engine.seed)

    def id_line(self) -> tuple[bytes, bytes]:
        """The header line with an id for one more request, which is no exchange."""
        return id_line(next(self._ids))

    def open(self, arrived: float, notes: Notes) -> Exchange:
        """An exchange for a request that arrived at a simulated moment on the clock that its test goes by."""
        return Exchange(self, arrived, next(self._ids), notes.head.test, notes)


class Exchange(Struct, eq=False):
    """Mutable: filled in as the request is understood and answered.

    ``fault`` is what strikes the answer, and ``choice`` what a rule strikes with, until that is settled. ``can_cut``
    tells whether the connection can be cut: only the mock's own server hands it over. ``ending`` tells, once the
    exchange is closed, whether the whole answer was handed to a client that was still there, and ``struck`` whether the
    fault has struck. ``sent_tokens`` are those of the pieces that were sent. ``keep`` takes the answer for an
    idempotency key.
    """

    shared: Exchanges
    arrived: float
    request_id: str
    test: str
    notes: Notes
    state: Scope | None = None
    account: Account | None = None
    session: Session | None = None
    stream: bool = False
    applied: str = ""
    forced: str = ""
    code: str = ""
    fault: Fault | None = None
    choice: Choice | None = None
    can_cut: bool = True
    keep: Callable[[Kept | None], None] | None = None
    ending: Literal["complete", "abandoned", "fault"] = "abandoned"
    sent_tokens: int = 0
    struck: bool = False
    _status: int = 0
    _timing: Timing = NO_TIMING
    _answer: Answer = NO_ANSWER

    @property
    def answered(self) -> bool:
        """Whether its answer has been decided on, at least the head of it."""
        return self._status != 0

    def begin(self, session: Session, facts: Facts | None) -> Session | Refusal:
        """The call was admitted; ``facts`` are for the rules about its route, should these still have to be asked."""
        self.session, session.ask_again = session, facts
        self.fault = session.fault = self.fault or session.fault
        if facts is not None and self.fault is not None:  # of a canned answer, which it may strike at once
            return self.ask_again(session, self.arrived) or session
        return session

    def due(self, decision: Session | Refusal, until: float, now: float) -> WholeAnswer | None:
        """The whole answer if it is due by ``until``; None while there is something to wait for, or to stream.

        Attempts that have failed by then are settled at the moments they were planned to fail.
        """
        if isinstance(decision, Refusal):
            return self.refusal(decision, now)
        while True:
            attempt = decision.attempt
            ends_at, late = attempt.ends_at, attempt.ends_at > until
            if attempt.failure is None:
                if decision.ask_again is not None and (refusal := self.ask_again(decision, until)):
                    return self.refusal(refusal, now)
                late = late or self.stream or self.fault is not None
            if late:
                return None
            step = decision.settle(ends_at)
            if type(step) is Answer:
                return self.answer(step, ends_at, now)
            if isinstance(step, Refusal):
                return self.refusal(step, now)

    def ask_again(self, session: Session, now: float) -> Refusal | None:
        """It is known who answers: let the rules about that strike, with a refusal or a fault."""
        facts, session.ask_again = session.ask_again, None
        assert facts is not None
        assert self.state is not None
        candidate = session.attempt.candidate
        routed = replace(facts, provider=candidate.provider, model=candidate.model)
        choice = self.shared.engine.choose(self.state, routed, routed=True)
        if (refusal := self.cannot(choice, facts.fingerprint)) is not None:
            session.withdraw(now)
            return refusal
        self.commit(choice)
        if (strike := choice.strike) is None:
            return None
        self.fault = session.fault = strike.fault
        if strike.code is None:
            return None
        session.refuse(now)
        return self.force(strike.code, strike.headers)

    def belong(self, state: Scope) -> None:
        """It is a request of this test, which is not forgotten before it is closed."""
        self.state = state
        state.open += 1

    def commit(self, choice: Choice) -> None:
        """The call goes ahead: the rules count it."""
        choice.commit()
        if choice.strike is not None:
            self.choice = choice

    def cannot(self, choice: Choice, fingerprint: bytes) -> Refusal | None:
        """Why what was chosen to strike the answer cannot strike it here, if so; the call then counts as none."""
        fault = None if choice.strike is None else choice.strike.fault
        why = None if fault is None else check_fits(fault, stream=self.stream, can_cut=self.can_cut)
        if why is None:
            return None
        assert self.state is not None
        self.state.occurrences.give_back(fingerprint)
        return bad_directive(f"a fault that was queued, or is the world's: {why}")

    def force(self, status: int, headers: Added = ()) -> Refusal:
        """The error of a forced ``status``, with ``headers`` besides its own."""
        self.forced, self.struck = f"code={status}", True
        return forced_refusal(status, self.shared.scale, headers)

    def give_up(self, now: float) -> Refusal:
        """An error of the mock's own came up before anything was sent: the refusal that says so; it costs nothing."""
        if self.session is not None:
            self.session.refuse(now)
        return BROKEN

    def refusal(self, refusal: Refusal, now: float) -> WholeAnswer:
        """The error envelope."""
        if self.choice is not None and not self.struck:
            self.choice.settle(missed=True)
            self.choice = None
        shared, session = self.shared, self.session
        planned = 0.0 if session is None or not session.steps else session.steps[-1].ended - session.started
        headers = self._headers(JSON_TYPE, planned, planned, planned, now)
        headers = with_added(headers + error_headers(refusal, self.shared.scale), refusal.headers)
        if self.applied:
            headers.append((b"preference-applied", self.applied.encode("latin-1")))
        self.notes.announce(headers, shared.unix_now)
        self.code = refusal.kind.code
        self._status = status_of(refusal, shared.engine.world.gateway.model_unavailable_status)
        return WholeAnswer(self._status, headers, error_body(refusal))

    def answer(self, answer: Answer, ends_at: float, now: float) -> WholeAnswer:
        """A whole JSON answer whose last byte was planned for the simulated moment ``ends_at``."""
        headers = self._answer_headers(JSON_TYPE, answer, ends_at, ends_at, now)
        body = ENCODER.encode(
            ChatResponse(True, answer.model, answer.text, answer.usage, answer.provider, self.request_id)
        )
        return WholeAnswer(200, headers, body)

    def stream_head(self, answer: Answer, first_at: float, ends_at: float, now: float) -> Headers:
        """The header lines of a stream of 200."""
        return self._answer_headers(EVENTS_TYPE, answer, first_at, ends_at, now, NO_CACHE)

    def _answer_headers(
        self,
        kind: tuple[bytes, bytes],
        answer: Answer,
        first_at: float,
        ends_at: float,
        now: float,
        *more: tuple[bytes, bytes],
    ) -> Headers:
        session = self.session
        assert session is not None  # who answers has a session
        self._answer = answer
        self._status = 200
        started = session.started
        if self.fault is not None:  # announce what is planned, what the fault adds included
            first_at += self.fault.adds_before_first_s
            ends_at += self.fault.adds_s
        wasted = session.attempt.started - started
        headers = self._headers(kind, ends_at - started, first_at - started, wasted, now)
        headers += more
        if session.headers:
            headers = with_added(headers, session.headers)
            self.notes.announce(headers, self.shared.unix_now)
        return headers

    def _headers(self, kind: tuple[bytes, bytes], planned: float, first: float, wasted: float, now: float) -> Headers:
        shared, session = self.shared, self.session
        scale, state, account = shared.scale, self.state, self.account
        tried = 0 if session is None else len(session.steps) + (not session.over)
        overhead, to_ms = now - self.arrived - first, scale * 1e3
        if overhead < 0:
            overhead = 0.0
        self._timing = timing = Timing(planned * to_ms, first * to_ms, overhead * to_ms, tried, wasted * to_ms)
        headers: Headers = [kind, (ID_HEADER, self.request_id.encode()), timing.header()]
        if account is not None and (quota := account.quota(now)) is not None:
            headers += quota_headers(quota, scale, shared.unix_now())
        if state is not None and state.forgotten:
            headers.append(FORGOTTEN)
        return headers

    def _kept(self) -> Kept | None:
        """The good answer an idempotency key is to give again; None when there is none."""
        session, answer = self.session, self._answer
        if session is None or not session.steps or session.steps[-1].result != "ok":
            return None
        usage = answer.usage
        return Kept(
            self.request_id,
            answer.text,
            usage.prompt_tokens,
            usage.completion_tokens,
            answer.provider,
            answer.model,
            answer.finish_reason,
            session.headers,
        )

    def close(self, now: float) -> None:
        """Leave an entry in the journal; a session still open is given up on behalf of a client that left."""
        session, answer, timing, account = self.session, self._answer, self._timing, self.account
        usage, shared = answer.usage, self.shared
        charged, steps, route = 0, _NO_STEPS, None
        if session is not None:
            if self.ending == "fault":
                session.fail(now)
            else:
                session.abandon(now, self.sent_tokens)
            charged, steps, route = session.charged, tuple(session.steps), session.route
        if self.choice is not None:
            self.choice.settle(missed=False)
        if self.keep is not None:
            self.keep(self._kept())
        if (state := self.state) is not None:
            state.open -= 1
            state.used += charged
            if state.retired:  # a reset came between: nobody is to hear of this call
                return
        shared.journal.record(
            Entry(
                self.request_id,
                self.arrived,
                self.test,
                "" if account is None else account.shown_key,
                self._status,
                self.code,
                self.stream,
                answer.provider,
                answer.model,
                usage.prompt_tokens,
                usage.completion_tokens,
                charged,
                timing.planned_ms,
                timing.first_ms,
                timing.overhead_ms,
                (now - self.arrived) * shared.scale * 1e3,
                self.ending,
                self.forced if self.fault is None else self.fault.text(),
                self.struck,
                steps,
                state is not None and state.forgotten,
                *self.notes.fields(account),
            ),
            "" if account is None else account.key,
            route,
        )


def id_line(request_id: str) -> tuple[bytes, bytes]:
    """The header line that tells the id of a request."""
    return ID_HEADER, request_id.encode()


def request_ids(seed: int) -> Iterator[str]:
    """``req_`` and seven hex digits, unique over 2^28 requests: a bijection of a counter, scattered by ``seed``."""
    offset = (seed * 0x9E3779B1 + 0x5BD1E995) & 0xFFFFFFF
    number = 0
    while True:
        number = (number + 1) & 0xFFFFFFF
        # Odd multipliers and xor with a right shift are both invertible modulo 2^28.
        mixed = ((number ^ offset) * 0x2C1B3C6D) & 0xFFFFFFF
        mixed = ((mixed ^ (mixed >> 14)) * 0x297A2D39) & 0xFFFFFFF
        yield f"req_{mixed ^ (mixed >> 14):07x}"
