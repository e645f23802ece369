"""Plays what a session decided: waits for each planned moment, then sends what is due."""

from __future__ import annotations

from mock_server.contract.errors import Refusal
from mock_server.contract.messages import ENCODER, ChatResponse
from mock_server.core.provider import Attempt
from mock_server.core.session import Answer, Session
from mock_server.http import sse
from mock_server.http.exchange import Exchange


async def play(exchange: Exchange, session: Session) -> None:
    """Play a session to its end: failover until an attempt is good, then its answer, whole or streamed.

    When the client leaves, this returns early, and closing the exchange abandons the session.
    """
    exchange.session = session
    while session.attempt.failure is not None:
        ends_at = session.attempt.ends_at
        if not await exchange.wait(ends_at):
            return
        step = session.settle(ends_at)
        if isinstance(step, Refusal):
            await exchange.refuse(step)
            return
    if exchange.stream:
        await _play_stream(exchange, session)
    else:
        await _play_whole(exchange, session)


async def _play_whole(exchange: Exchange, session: Session) -> None:
    ends_at = session.attempt.ends_at
    if not await exchange.wait(ends_at):
        return
    answer = session.settle(ends_at)
    assert isinstance(answer, Answer)
    body = ENCODER.encode(
        ChatResponse(True, answer.model, answer.text, answer.usage, answer.provider, exchange.request_id)
    )
    await exchange.answer(answer, body, ends_at)


async def _play_stream(exchange: Exchange, session: Session) -> None:
    attempt, answer = session.attempt, session.answer()
    if not await exchange.wait(attempt.first_at):
        return
    timeline = Timeline(exchange, attempt)
    opening = sse.opening(exchange.request_id, answer.model, answer.provider)
    await exchange.open_stream(answer, attempt.first_at, attempt.ends_at, opening + timeline.due(attempt.first_at))
    while not timeline.finished:
        if not await timeline.wait():
            session.abandon(exchange.context.clock.now(), timeline.sent_tokens)
            return
        if events := timeline.due(exchange.context.clock.now()):
            await exchange.send_events(events)
    if not await exchange.wait(attempt.ends_at):
        session.abandon(exchange.context.clock.now(), timeline.sent_tokens)
        return
    session.settle(attempt.ends_at)
    await exchange.end_stream(sse.closing(answer.finish_reason, answer.usage))


class Timeline:
    """The pieces of a stream and when each is due. Mutable: how far it has been played."""

    __slots__ = ("_at", "_attempt", "_ends", "_exchange", "_next", "_planner", "_text", "_tokens")

    def __init__(self, exchange: Exchange, attempt: Attempt) -> None:
        assert attempt.passage is not None
        pieces = attempt.passage.pieces()
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
        exchange = self._exchange
        clock = exchange.context.clock
        silence = exchange.context.engine.world.gateway.keep_alive_s
        last = clock.now()
        while self._at - last > silence:
            last += silence
            if not await exchange.wait(last):
                return False
            await exchange.send_events(sse.KEEP_ALIVE)
        return await exchange.wait(self._at)

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
