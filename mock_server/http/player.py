"""Plays what was decided: waits for each planned moment, then sends what is due."""

from __future__ import annotations

from starlette.types import Send

from mock_server.contract.errors import Refusal
from mock_server.core.provider import Attempt
from mock_server.core.session import Session
from mock_server.http import sse
from mock_server.http.answers import Reply, length_line
from mock_server.http.exchange import Exchange
from mock_server.http.protocol import Wire


class Player:
    """Plays one exchange to its end: failover until an attempt is good, then its answer, whole or streamed.

    When the client leaves, it stops early, and closing the exchange abandons the session.
    """

    __slots__ = ("_exchange", "_send", "_wire")

    def __init__(self, exchange: Exchange, wire: Wire, send: Send) -> None:
        self._exchange = exchange
        self._wire = wire
        self._send = send

    async def play(self, decision: Session | Refusal) -> None:
        """Wait for what is still to come, and send it."""
        exchange, clock = self._exchange, self._exchange.context.clock
        while (reply := exchange.due(decision, clock.now())) is None:
            assert isinstance(decision, Session)  # a refusal is always due
            attempt = decision.attempt
            if exchange.stream and attempt.failure is None:
                await self._stream(decision, attempt)
                return
            if not await self.wait(attempt.ends_at):
                return
        await self._reply(reply)

    async def wait(self, at: float) -> bool:
        """Wait until the simulated moment ``at``; False when the client has left."""
        clock, wire = self._exchange.context.clock, self._wire
        # A timer may fire early by a clock tick: look again.
        while not wire.gone and (left := clock.wall(at - clock.now())) > 0:
            await wire.sleep(left)
        return not wire.gone

    async def send_events(self, events: bytes) -> None:
        """Send a part of a stream."""
        await self._send({"type": "http.response.body", "body": events, "more_body": True})

    async def _reply(self, reply: Reply) -> None:
        if not self._wire.write_whole(reply):
            headers = [*reply.headers, length_line(reply.body)]
            await self._send({"type": "http.response.start", "status": reply.status, "headers": headers})
            await self._send({"type": "http.response.body", "body": reply.body})
        self._sent()

    def _sent(self) -> None:
        self._exchange.ending = "abandoned" if self._wire.gone else "complete"

    async def _stream(self, session: Session, attempt: Attempt) -> None:
        exchange, clock, answer = self._exchange, self._exchange.context.clock, session.answer()
        if not await self.wait(attempt.first_at):
            return
        timeline = Timeline(self, exchange, attempt)
        opening = sse.opening(exchange.request_id, answer.model, answer.provider)
        headers = exchange.stream_head(answer, attempt.first_at, attempt.ends_at)
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self.send_events(opening + timeline.due(attempt.first_at))
        while not timeline.finished:
            if not await timeline.wait():
                session.abandon(clock.now(), timeline.sent_tokens)
                return
            if events := timeline.due(clock.now()):
                await self.send_events(events)
        if not await self.wait(attempt.ends_at):
            session.abandon(clock.now(), timeline.sent_tokens)
            return
        session.settle(attempt.ends_at)
        await self._send({"type": "http.response.body", "body": sse.closing(answer.finish_reason, answer.usage)})
        self._sent()


class Timeline:
    """The pieces of a stream and when each is due. Mutable: how far it has been played."""

    __slots__ = ("_at", "_attempt", "_ends", "_exchange", "_next", "_planner", "_player", "_text", "_tokens")

    def __init__(self, player: Player, exchange: Exchange, attempt: Attempt) -> None:
        assert attempt.passage is not None
        pieces = attempt.passage.pieces()
        self._player = player
        self._exchange = exchange
        self._attempt = attempt
        self._planner = exchange.context.engine.planner
        self._text = attempt.passage.text
        self._ends = pieces.ends
        self._tokens = pieces.token_ends
        self._next = 0
        self._at = attempt.first_at

    @property
    def finished(self) -> bool:
        """Whether the last piece has been sent."""
        return self._next >= len(self._ends)

    @property
    def sent_tokens(self) -> int:
        """Tokens of the pieces sent so far."""
        return self._tokens[self._next - 1] if self._next else 0

    async def wait(self) -> bool:
        """Wait for the next piece, with a keep-alive comment in long silences; False when the client has left."""
        player, context = self._player, self._exchange.context
        silence = context.engine.world.gateway.keep_alive_s
        last = context.clock.now()
        while self._at - last > silence:
            last += silence
            if not await player.wait(last):
                return False
            await player.send_events(sse.KEEP_ALIVE)
        return await player.wait(self._at)

    def due(self, now: float) -> bytes:
        """The events of all pieces due by ``now``; overdue ones leave together."""
        events = []
        while not self.finished and self._at <= now:
            start = self._ends[self._next - 1] if self._next else 0
            events.append(sse.piece(self._text[start : self._ends[self._next]]))
            self._next += 1
            if not self.finished:
                self._at = self._planner.piece_at(self._attempt, self._tokens[self._next])
        return b"".join(events)
