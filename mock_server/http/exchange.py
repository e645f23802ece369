"""One request and its answer: identity, headers, timing, and the entry it leaves in the journal. Nothing here waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from mock_server.clock import SimClock
from mock_server.contract.errors import Refusal
from mock_server.contract.messages import ENCODER, ChatResponse
from mock_server.core.account import Account
from mock_server.core.faults import Fault
from mock_server.core.idempotency import Kept
from mock_server.core.rules import Facts
from mock_server.core.scope import Scope
from mock_server.core.session import NO_ANSWER, Answer, Session, Step
from mock_server.http.answers import (
    EVENTS_TYPE,
    JSON_TYPE,
    NO_CACHE,
    NO_TIMING,
    Headers,
    Reply,
    Timing,
    error_body,
    error_headers,
    forced_refusal,
    quota_headers,
    status_of,
)
from mock_server.http.context import Context
from mock_server.http.observe import Entry

_NO_STEPS: Final[tuple[Step, ...]] = ()


class Exchange(Struct, eq=False):
    """Mutable: filled in as the request is understood and answered.

    ``arrived`` is in simulated seconds on ``clock``. ``fault`` is what strikes the answer; ``ask_again`` holds what
    rules about the route need to be asked once it is known who answers. ``ending`` tells, once the exchange is closed,
    whether the whole answer was handed to a client that was still there. ``keep`` takes the answer
    for an idempotency key.
    """

    context: Context
    clock: SimClock
    arrived: float
    request_id: str
    state: Scope | None = None
    account: Account | None = None
    session: Session | None = None
    test: str = ""
    stream: bool = False
    applied: str = ""
    forced: str = ""
    code: str = ""
    fault: Fault | None = None
    ask_again: Facts | None = None
    keep: Callable[[Kept | None], None] | None = None
    ending: Literal["complete", "abandoned", "fault"] = "abandoned"
    _status: int = 0
    _timing: Timing = NO_TIMING
    _answer: Answer = NO_ANSWER

    def go_by(self, clock: SimClock) -> None:
        """Go by another clock than everybody's."""
        if clock is not self.clock:
            self.clock = clock
            self.arrived = clock.now()

    def due(self, decision: Session | Refusal, now: float) -> Reply | None:
        """The whole answer if it is due by ``now``; None while there is something to wait for, or to stream.

        Attempts that have failed by then are settled at the moments they were planned to fail.
        """
        if isinstance(decision, Refusal):
            return self.refusal(decision)
        while (attempt := decision.attempt).ends_at <= now or attempt.failure is None:
            ends_at = attempt.ends_at
            if attempt.failure is None:
                if self.ask_again is not None and (refusal := self._ask_again(decision, now)):
                    return self.refusal(refusal)
                if self.stream or self.fault is not None or ends_at > now:
                    return None
            step = decision.settle(ends_at)
            if isinstance(step, Answer):
                return self.answer(step, ends_at)
            if isinstance(step, Refusal):
                return self.refusal(step)
        return None

    def _ask_again(self, session: Session, now: float) -> Refusal | None:
        """It is known who answers: let the rules about that strike, with a refusal or a fault."""
        facts, self.ask_again = self.ask_again, None
        assert facts is not None
        assert self.state is not None
        candidate = session.attempt.candidate
        routed = replace(facts, provider=candidate.provider, model=candidate.model)
        strike = self.context.engine.strike(self.state, routed, routed=True)
        if strike is None:
            return None
        self.fault = strike.fault
        if strike.code is None:
            return None
        session.fail(now)
        return self.force(strike.code)

    def force(self, status: int) -> Refusal:
        """The error of a forced ``status``."""
        self.forced = f"code={status}"
        return forced_refusal(status, self.clock.scale)

    def refusal(self, refusal: Refusal) -> Reply:
        """The error envelope."""
        context, session = self.context, self.session
        planned = 0.0 if session is None or not session.steps else session.steps[-1].ended - session.started
        headers = self._headers(JSON_TYPE, planned, planned, planned)
        headers += error_headers(refusal, self.clock.scale)
        if self.applied:
            headers.append((b"preference-applied", self.applied.encode("latin-1")))
        self.code = refusal.kind.code
        self._status = status_of(refusal, context.engine.world.gateway.model_unavailable_status)
        return Reply(self._status, headers, error_body(refusal))

    def answer(self, answer: Answer, ends_at: float) -> Reply:
        """A whole JSON answer whose last byte was planned for the simulated moment ``ends_at``."""
        headers = self._answer_headers(JSON_TYPE, answer, ends_at, ends_at)
        body = ENCODER.encode(
            ChatResponse(True, answer.model, answer.text, answer.usage, answer.provider, self.request_id)
        )
        return Reply(200, headers, body)

    def stream_head(self, answer: Answer, first_at: float, ends_at: float) -> Headers:
        """The header lines of a stream of 200."""
        headers = self._answer_headers(EVENTS_TYPE, answer, first_at, ends_at)
        headers.append(NO_CACHE)
        return headers

    def _answer_headers(self, kind: tuple[bytes, bytes], answer: Answer, first_at: float, ends_at: float) -> Headers:
        session = self.session
        assert session is not None  # who answers has a session
        self._answer = answer
        self._status = 200
        started = session.started
        if self.fault is not None:  # announce what is planned, what the fault adds included
            first_at += self.fault.adds_before_first_s
            ends_at += self.fault.adds_s
        return self._headers(kind, ends_at - started, first_at - started, session.attempt.started - started)

    def _headers(self, kind: tuple[bytes, bytes], planned: float, first: float, wasted: float) -> Headers:
        context, session = self.context, self.session
        clock = self.clock
        now, scale = clock.now(), clock.scale
        tried = 0 if session is None else len(session.steps) + (not session.over)
        overhead, to_ms = now - self.arrived - first, scale * 1e3
        if overhead < 0:
            overhead = 0.0
        self._timing = timing = Timing(planned * to_ms, first * to_ms, overhead * to_ms, tried, wasted * to_ms)
        headers: Headers = [kind, (b"x-request-id", self.request_id.encode()), timing.header()]
        if self.account is not None and (quota := self.account.quota(now)) is not None:
            headers += quota_headers(quota, scale, context.unix_now())
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
        )

    def close(self) -> None:
        """Leave an entry in the journal; a session still open is given up on behalf of a client that left."""
        session, answer, timing, account = self.session, self._answer, self._timing, self.account
        usage, clock = answer.usage, self.clock
        now = clock.now()
        charged, steps, route = 0, _NO_STEPS, None
        if session is not None:
            if not session.over:
                session.abandon(now)
            charged, steps, route = session.charged, tuple(session.steps), session.route
        if self.keep is not None:
            self.keep(self._kept())
        if (state := self.state) is not None:
            state.used += charged
            if state.retired:  # a reset came between: nobody is to hear of this call
                return
        self.context.journal.record(
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
                (now - self.arrived) * clock.scale * 1e3,
                self.ending,
                self.forced if self.fault is None else self.fault.text(),
                steps,
            ),
            "" if account is None else account.key,
            route,
        )
