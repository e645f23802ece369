"""Plays scripts in real time: waits for each moment, writes what is to be sent, and tells the script the time."""

from __future__ import annotations

from asyncio import get_running_loop, sleep
from collections.abc import Awaitable
from math import inf
from time import monotonic
from typing import Final, assert_never

from starlette.types import Message, Send

from mock_server.clock import SimClock
from mock_server.contract.errors import Refusal
from mock_server.core.session import Session
from mock_server.edge.answers import WholeAnswer, length_line
from mock_server.edge.exchange import Exchange
from mock_server.edge.moves import End, Fin, Flush, Move, Part, Reset, Start, Turn, Until
from mock_server.edge.script import Script
from mock_server.http.context import Context
from mock_server.http.wire import Wire

_ALWAYS_STEERED: Final = -1
_UNREAD_S: Final = 1.0


class Player:
    """Plays one exchange on one clock to one client. Moments missed are noted in the load meter.

    Mutable: the clock, which is another once its test has one of its own, and how often that was steered before.
    """

    __slots__ = ("_clock", "_context", "_exchange", "_send", "_steered", "_wire")

    def __init__(self, context: Context, exchange: Exchange, clock: SimClock, wire: Wire, send: Send) -> None:
        self._context = context
        self._exchange = exchange
        self._clock = clock
        self._wire = wire
        self._send = send
        self._steered = 0

    def now(self) -> float:
        """The moment on the clock it goes by."""
        return self._clock.now()

    def at(self, reading: float) -> float:
        """The moment of a reading of the monotonic clock on the clock it goes by."""
        return self._clock.at(reading)

    def follow(self) -> None:
        """Go by the clock that its test has by now; not after a reset, as that clock is then another's."""
        context, exchange, before = self._context, self._exchange, self._clock
        if before is not context.clock or (exchange.state is not None and exchange.state.retired):
            return
        self._clock = clock = context.clock_of(exchange.test)
        if clock is not before and self in context.playing:
            before.hand_over(self._wire, clock)
            _let_jump(before)
            self._steered = _ALWAYS_STEERED

    async def play(self, decision: Session | Refusal) -> None:
        """Make every move until the script is over; none for a client that has left before."""
        self.follow()
        wire, notes, playing = self._wire, self._exchange.notes, self._context.playing
        playing.add(self)
        self._clock.in_flight += 1
        self._steered = self._clock.steered
        try:
            moves = Script(self._exchange, self.now()).moves(decision)
            move = None if wire.gone else next(moves, None)
            while move is not None:
                if notes.first_byte is None and isinstance(move, Start | WholeAnswer):
                    notes.first_byte = monotonic()
                if isinstance(move, Until):
                    await self._sleep_until(move.at)
                elif (message := _message_of(move)) is None:
                    await self._make(move)
                elif wire.may_wait_to_write:
                    await self._for_client(self._send(message))
                else:
                    await self._send(message)
                try:
                    move = moves.send(None if wire.gone else self.now())
                except StopIteration:
                    move = None
        finally:
            playing.discard(self)
            self._clock.in_flight -= 1
            _let_jump(self._clock)  # all that is left may be waiting

    async def _make(self, move: Move) -> None:
        """Make a move that is more than waiting or one message."""
        match move:
            case WholeAnswer() as whole:
                if not self._wire.write_whole(whole):
                    length = [] if whole.streamed else [length_line(whole.body)]
                    for part in (Start(whole.status, whole.headers + length), End(whole.body)):
                        message = _message_of(part)
                        assert message is not None
                        await self._for_client(self._send(message))
            case Turn():
                await sleep(0)
            case Flush():
                await self._flush()
            case Reset():
                await self._flush()
                await self._for_client(self._wire.reset())
            case Fin():
                await self._flush()
                await self._for_client(self._wire.fin())
            case Until() | Start() | Part() | End():
                raise AssertionError(move)
            case _:
                assert_never(move)

    async def _flush(self) -> None:
        """Let what was written leave before what follows."""
        await sleep(0)
        if self._wire.behind:
            await self._for_client(self._wire.catch_up())

    async def _for_client(self, what: Awaitable[None]) -> None:
        """Do what may have to wait for the client: that is waiting as any other, and time may jump meanwhile.

        Once it takes long, nobody can tell when the call will end.
        """
        self._clock.fall_asleep(self._wire, inf)
        _let_jump(self._clock)
        session = self._exchange.session
        timer = None if session is None else get_running_loop().call_later(_UNREAD_S, _hold, session, inf)
        try:
            await what
        finally:
            self._clock.wake_up(self._wire)
            if session is not None and timer is not None:
                timer.cancel()
                _hold(session, None)

    async def _sleep_until(self, at: float) -> None:
        """Wait until a planned moment, or until the client has left."""
        wire, left = self._wire, 0.0
        # A timer may fire early by a clock tick, and the clock may be changed, or another: look again.
        while not wire.gone and (left := self._clock.left(at)) > 0:
            self._clock.fall_asleep(wire, at)
            _let_jump(self._clock)
            try:
                await wire.sleep(left)
            finally:
                self._clock.wake_up(wire)
        if not wire.gone and self._clock.steered == self._steered:  # else how late it is says nothing about the mock
            self._context.meter.late.append(-left)


def _hold(session: Session, until: float | None) -> None:
    session.held_until = until


def _let_jump(clock: SimClock) -> None:
    if clock.may_jump:
        get_running_loop().call_soon(clock.jump)


def _message_of(move: Move) -> Message | None:
    """The ASGI message that a move is, if it is one."""
    if isinstance(move, Part):
        return {"type": "http.response.body", "body": move.data, "more_body": True}
    if isinstance(move, End):
        return {"type": "http.response.body", "body": move.data}
    if isinstance(move, Start):
        return {"type": "http.response.start", "status": move.status, "headers": move.headers}
    return None
