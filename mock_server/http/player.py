"""Plays what was decided: waits for each planned moment, sends what is due, and strikes with a fault where asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from starlette.types import Send

from mock_server.contract.errors import Refusal
from mock_server.core.faults import Fault, Stage
from mock_server.core.session import Answer, Session
from mock_server.http import sse
from mock_server.http.answers import Reply, length_line
from mock_server.http.exchange import Exchange
from mock_server.http.framing import Framer
from mock_server.http.spoiled import dribbled, spoil
from mock_server.http.timeline import Timeline
from mock_server.http.wire import Wire

NO_FAULT = Fault()


class Player:
    """Plays one exchange to its end: failover until an attempt is good, then its answer, whole or streamed.

    When the client leaves, it stops early, and closing the exchange abandons the session. Mutable: by how much a
    delay has put off all that follows, in simulated seconds.
    """

    __slots__ = ("_exchange", "_fault", "_put_off", "_send", "_steered", "_wire")

    def __init__(self, exchange: Exchange, wire: Wire, send: Send) -> None:
        self._exchange = exchange
        self._wire = wire
        self._send = send
        self._fault = exchange.fault or NO_FAULT
        self._put_off = 0.0
        self._steered = exchange.clock.steered

    async def play(self, decision: Session | Refusal) -> None:
        """Wait for what is still to come, and send it."""
        exchange, clock = self._exchange, self._exchange.clock
        early = isinstance(decision, Session)  # whether a fault before the headers may still strike
        while True:
            self._fault = exchange.fault or NO_FAULT
            if early and self._fault.stage == "before_headers" and self._fault.kind is not None:
                early = False
                assert isinstance(decision, Session)
                if not await self._passes("before_headers", decision):
                    return
            reply = exchange.due(decision, clock.now() - self._put_off)
            if reply is not None:
                await self._reply(reply)
                return
            assert isinstance(decision, Session)  # a refusal is always due
            if self._fault is (exchange.fault or NO_FAULT) and await self._go_on(decision):
                return

    async def _go_on(self, session: Session) -> bool:
        """Wait for a failure, or play the answer; True when the exchange is over."""
        if session.attempt.failure is None:
            if self._exchange.stream:
                await self._stream(session)
                return True
            if self._exchange.fault is not None:
                await self._spoiled(session)
                return True
        return not await self._wait(session.attempt.ends_at)

    async def _wait(self, at: float) -> bool:
        """Wait until the planned moment ``at`` and what it was put off by; False when the client has left."""
        return await self._sleep_until(at + self._put_off)

    async def _sleep_until(self, at: float) -> bool:
        clock, wire = self._exchange.clock, self._wire
        # A timer may fire early by a clock tick, and the clock may be changed: look again.
        while not wire.gone and (left := clock.left(at)) > 0:
            clock.fall_asleep(wire, at)
            if clock.may_jump:
                asyncio.get_running_loop().call_soon(clock.jump)
            try:
                await wire.sleep(left)
            finally:
                clock.wake_up(wire)
        if wire.gone:
            return False
        if clock.steered == self._steered:  # else how late it is says nothing about the mock
            self._exchange.context.meter.late.append(-left)
        return True

    async def _reply(self, reply: Reply) -> None:
        if not self._wire.write_whole(reply):
            await self._start(reply.status, [*reply.headers, length_line(reply.body)])
            await self._send({"type": "http.response.body", "body": reply.body})
        self._sent()

    async def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": list(headers)})

    def _sent(self) -> None:
        self._exchange.ending = "abandoned" if self._wire.gone else "complete"

    async def _write(self, writes: Iterable[bytes]) -> None:
        """Send parts of a body, each in a write of its own."""
        first = True
        for write in writes:
            if not first:
                await self._wire.flush()
            first = False
            await self._send({"type": "http.response.body", "body": write, "more_body": True})

    async def _stream(self, session: Session) -> None:
        exchange, attempt, answer = self._exchange, session.attempt, session.answer()
        if not await self._wait(attempt.first_at):
            return
        framer = Framer(self._fault.framing)
        timeline = Timeline(exchange.context.engine.planner, attempt, self._fault)
        await self._start(200, exchange.stream_head(answer, attempt.first_at, attempt.ends_at))
        opening = sse.opening(exchange.request_id, answer.model, answer.provider)
        if self._fault.stage == "before_first_token" and self._fault.kind is not None:
            await self._write([*framer.writes([opening]), *framer.flush()])
            if not await self._passes("before_first_token", session):
                return
            opening = b""
        events = [opening] if opening else []
        await self._write(framer.writes([*events, *timeline.due(attempt.first_at)]))
        if not await self._pieces(session, timeline, framer):
            session.abandon(exchange.clock.now(), timeline.sent_tokens)
            return
        await self._close(session, framer, answer)

    async def _pieces(self, session: Session, timeline: Timeline, framer: Framer) -> bool:
        """Send the pieces that are still to come; False when the stream is over before its closing events."""
        clock = self._exchange.clock
        while True:
            if timeline.at_fault:
                await self._write(framer.flush())
                if not await self._passes("mid_stream", session):
                    return False
                timeline.at_fault = False
            if timeline.finished:
                return True
            if not await self._next_piece(timeline):
                return False
            await self._write(framer.writes(timeline.due(clock.now() - self._put_off)))

    async def _next_piece(self, timeline: Timeline) -> bool:
        """Wait for the next piece, with a keep-alive comment in long silences; False when the client has left."""
        exchange = self._exchange
        silence = exchange.context.engine.world.gateway.keep_alive_s
        last = exchange.clock.now()
        while timeline.next_at + self._put_off - last > silence:
            last += silence
            if not await self._sleep_until(last):
                return False
            await self._write([sse.KEEP_ALIVE])
        return await self._wait(timeline.next_at)

    async def _close(self, session: Session, framer: Framer, answer: Answer) -> None:
        """The closing events of a stream."""
        ends_at = session.attempt.ends_at
        if not await self._wait(ends_at):
            session.abandon(self._exchange.clock.now(), answer.usage.completion_tokens)
            return
        if self._fault.stage == "before_usage":
            await self._write(framer.flush())
            if not await self._passes("before_usage", session):
                session.abandon(self._exchange.clock.now(), answer.usage.completion_tokens)
                return
        session.settle(ends_at)
        closing = [sse.usage(answer.finish_reason, answer.usage), sse.DONE_EVENT]
        if self._fault.stage == "before_done":
            await self._write([*framer.writes(closing[:1]), *framer.flush()])
            if not await self._passes("before_done", session):
                return
            closing = closing[1:]
        *writes, last = [*framer.writes(closing), *framer.flush()]
        await self._write(writes)
        if writes:
            await self._wire.flush()
        await self._send({"type": "http.response.body", "body": last})
        self._sent()

    async def _passes(self, stage: Stage, session: Session) -> bool:
        """Strike if the fault is about this stage; False when that was the end of the answer."""
        fault = self._fault
        if fault.stage != stage or fault.kind is None or fault.spoils_whole:
            return True
        if fault.kind == "delay":
            assert fault.for_s is not None
            self._put_off = fault.for_s
            return await self._sleep_until(self._exchange.clock.now() + fault.for_s)
        if not session.over:
            session.fail(self._exchange.clock.now())
        self._exchange.ending = "fault"
        await self._break(fault)
        return False

    async def _break(self, fault: Fault) -> None:
        """End the answer in the fault's way."""
        wire = self._wire
        match fault.kind:
            case "reset":
                await wire.reset()
            case "fin":
                await wire.fin()
            case "stall":
                until = None if fault.for_s is None else self._exchange.clock.now() + fault.for_s
                if until is None:
                    await wire.left()
                else:
                    await self._sleep_until(until)
                await wire.fin()
            case "error_event":
                await self._end(sse.error(self._exchange.request_id))
            case "garbage_event":
                await self._end(sse.GARBAGE)
            case _:
                await self._end(b"")

    async def _end(self, events: bytes) -> None:
        await self._send({"type": "http.response.body", "body": events})

    async def _spoiled(self, session: Session) -> None:
        """A whole answer with a fault on it."""
        exchange, attempt = self._exchange, session.attempt
        if not await self._wait(attempt.ends_at):
            return
        fault = self._fault
        reply = exchange.answer(session.answer(), attempt.ends_at)
        if fault.stage == "before_first_token":
            await self._start(reply.status, [*reply.headers, length_line(reply.body)])
            if not await self._passes("before_first_token", session):
                return
        elif fault.kind == "dribble":
            await self._dribble(session, reply)
            return
        elif fault.spoils_whole:
            await self._send_spoiled(session, reply)
            return
        session.settle(attempt.ends_at)
        if fault.stage == "before_first_token":
            await self._send({"type": "http.response.body", "body": reply.body})
            self._sent()
        else:
            await self._reply(reply)

    async def _dribble(self, session: Session, reply: Reply) -> None:
        clock = self._exchange.clock
        await self._start(reply.status, [*reply.headers, length_line(reply.body)])
        begun = clock.now()
        for after_s, piece in dribbled(reply.body, self._fault.for_s):
            if not await self._sleep_until(begun + after_s):
                return
            await self._write([piece])
        session.settle(session.attempt.ends_at)
        await self._send({"type": "http.response.body", "body": b""})
        self._sent()

    async def _send_spoiled(self, session: Session, reply: Reply) -> None:
        session.fail(self._exchange.clock.now())
        self._exchange.ending = "fault"
        assert self._fault.kind is not None
        spoiled = spoil(self._fault.kind, reply)
        await self._start(200, spoiled.headers)
        if spoiled.complete:
            await self._send({"type": "http.response.body", "body": spoiled.body})
        else:
            await self._write([spoiled.body])
            await self._wire.fin()
