"""One request and its answer on the wire: identity, headers, timing, and the entry it leaves in the journal."""

from __future__ import annotations

from time import monotonic

from starlette.types import Scope, Send

from mock_server.contract.errors import Refusal
from mock_server.core.account import Account
from mock_server.core.session import Answer, Session
from mock_server.http.answers import (
    EVENTS_TYPE,
    JSON_TYPE,
    NO_CACHE,
    Headers,
    Timing,
    error_body,
    error_headers,
    quota_headers,
    status_of,
)
from mock_server.http.context import Context
from mock_server.http.observe import Entry
from mock_server.http.protocol import WIRE, Wire


class Exchange:
    """Mutable: filled in as the request is understood and answered. ``arrived`` is in simulated seconds."""

    __slots__ = (
        "_answer",
        "_ending",
        "_send",
        "_status",
        "_timing",
        "account",
        "applied",
        "arrived",
        "code",
        "context",
        "request_id",
        "session",
        "stream",
        "test",
        "wire",
    )

    def __init__(self, context: Context, scope: Scope, send: Send) -> None:
        self.context = context
        wire: Wire | None = scope.get(WIRE)
        self.wire = Wire(monotonic()) if wire is None else wire
        self.arrived = context.clock.at(self.wire.arrived)
        self.request_id = next(context.ids)
        self.account: Account | None = None
        self.session: Session | None = None
        self.test = ""
        self.stream = False
        self.applied = ""
        self.code = ""
        self._send = send
        self._status = 0
        self._timing: Timing | None = None
        self._answer: Answer | None = None
        self._ending = "abandoned"

    async def wait(self, at: float) -> bool:
        """Wait until the simulated moment ``at``; False when the client has left."""
        clock, wire = self.context.clock, self.wire
        # A timer may fire early by a clock tick: look again.
        while not wire.gone and (left := clock.wall(at - clock.now())) > 0:
            await wire.sleep(left)
        return not wire.gone

    async def refuse(self, refusal: Refusal) -> None:
        """Send the error envelope."""
        context, body = self.context, error_body(refusal)
        session = self.session
        planned = 0.0 if session is None else session.steps[-1].ended - session.started
        headers = self._headers(JSON_TYPE, planned, planned, planned)
        headers.append((b"content-length", b"%d" % len(body)))
        headers += error_headers(refusal, context.clock.scale)
        if self.applied:
            headers.append((b"preference-applied", self.applied.encode("latin-1")))
        self.code = refusal.kind.code
        status = status_of(refusal, context.engine.world.gateway.model_unavailable_status)
        await self._send_whole(status, headers, body)

    async def answer(self, answer: Answer, body: bytes, planned_end: float) -> None:
        """Send a whole JSON answer whose last byte was planned for the simulated moment ``planned_end``."""
        planned, wasted = self._planned(planned_end)
        headers = self._headers(JSON_TYPE, planned, planned, wasted)
        headers.append((b"content-length", b"%d" % len(body)))
        self._answer = answer
        await self._send_whole(200, headers, body)

    async def open_stream(self, answer: Answer, first_at: float, ends_at: float, events: bytes) -> None:
        """Send the head of a stream and its first events in one go."""
        planned, wasted = self._planned(ends_at)
        first, _ = self._planned(first_at)
        headers = self._headers(EVENTS_TYPE, planned, first, wasted)
        headers.append(NO_CACHE)
        self._answer = answer
        await self._start(200, headers)
        await self.send_events(events)

    async def send_events(self, events: bytes) -> None:
        """Send a part of a stream."""
        await self._send({"type": "http.response.body", "body": events, "more_body": True})

    async def end_stream(self, events: bytes) -> None:
        """Send the last part of a stream."""
        await self._finish(events)

    def _planned(self, at: float) -> tuple[float, float]:
        """Simulated seconds from the session's start to ``at``, and those spent in failed attempts."""
        session = self.session
        if session is None:
            return 0.0, 0.0
        return at - session.started, session.attempt.started - session.started

    def _headers(self, kind: tuple[bytes, bytes], planned: float, first: float, wasted: float) -> Headers:
        context, session = self.context, self.session
        clock = context.clock
        now = clock.now()
        tried = 0 if session is None else len(session.steps) + (not session.over)
        self._timing = timing = Timing(
            clock.wall(planned),
            clock.wall(first),
            max(0.0, clock.wall(now - self.arrived - first)),
            tried,
            clock.wall(wasted),
        )
        headers: Headers = [kind, (b"x-request-id", self.request_id.encode()), timing.header()]
        if self.account is not None and (quota := self.account.quota(now)) is not None:
            headers += quota_headers(quota, clock.scale, context.unix_now())
        return headers

    async def _send_whole(self, status: int, headers: Headers, body: bytes) -> None:
        if self.wire.write_whole(status, headers, body):
            self._status = status
            self._ending = "abandoned" if self.wire.gone else "complete"
        else:
            await self._start(status, headers)
            await self._finish(body)

    async def _start(self, status: int, headers: Headers) -> None:
        self._status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _finish(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body})
        self._ending = "abandoned" if self.wire.gone else "complete"

    def close(self) -> None:
        """Leave an entry in the journal; a session still open is given up on behalf of a client that left."""
        self.wire.close()
        session, answer, timing = self.session, self._answer, self._timing
        clock = self.context.clock
        now = clock.now()
        if session is not None:
            session.abandon(now)
        usage = answer.usage if answer is not None else None
        self.context.journal.record(
            Entry(
                request_id=self.request_id,
                at_s=self.arrived,
                test=self.test,
                key="" if self.account is None else "…" + self.account.key[-4:],
                status=self._status,
                code=self.code,
                stream=self.stream,
                provider="" if answer is None else answer.provider,
                model="" if answer is None else answer.model,
                prompt_tokens=0 if usage is None else usage.prompt_tokens,
                completion_tokens=0 if usage is None else usage.completion_tokens,
                charged=0 if session is None else session.charged,
                planned_ms=0.0 if timing is None else timing.planned * 1e3,
                first_ms=0.0 if timing is None else timing.first * 1e3,
                overhead_ms=0.0 if timing is None else timing.overhead * 1e3,
                took_ms=clock.wall(now - self.arrived) * 1e3,
                ending=self._ending,
                attempts=() if session is None else tuple(session.steps),
            )
        )
