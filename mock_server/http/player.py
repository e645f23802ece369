"""Plays scripts in real time: waits for each moment, writes what is to be sent, and tells the script the time."""

from __future__ import annotations

from asyncio import get_running_loop, sleep
from collections.abc import Awaitable
from math import inf
from time import monotonic
from typing import assert_never

from starlette.types import Message, Send

from mock_server.clock import SimClock
from mock_server.contract.errors import Refusal
from mock_server.core.session import Session
from mock_server.edge.answers import WholeAnswer, length_line
from mock_server.edge.exchange import Exchange
from mock_server.edge.moves import End, Fin, Flush, Move, Part, Reset, Start, Turn, Until
from mock_server.edge.script import Script
from mock_server.http.meter import LoadMeter
from mock_server.http.wire import Wire


class Player:
    """Plays one exchange on one clock to one client. Moments missed are noted in ``meter``."""

    __slots__ = ("_clock", "_meter", "_send", "_steered", "_wire")

    def __init__(self, wire: Wire, send: Send, clock: SimClock, meter: LoadMeter) -> None:
        self._wire = wire
        self._send = send
        self._clock = clock
        self._meter = meter
        self._steered = clock.steered

    async def play(self, exchange: Exchange, decision: Session | Refusal) -> None:
        """Make every move until the script is over; none for a client that has left before."""
        clock, wire, notes = self._clock, self._wire, exchange.notes
        clock.in_flight += 1
        try:
            moves = Script(exchange, clock.now()).moves(decision)
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
                    move = moves.send(None if wire.gone else clock.now())
                except StopIteration:
                    move = None
        finally:
            clock.in_flight -= 1
            self._let_time_jump()  # all that is left may be waiting

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
                await self._wire.reset()
            case Fin():
                await self._flush()
                await self._wire.fin()
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
        """Do what may have to wait for the client: that is waiting as any other, and time may jump meanwhile."""
        self._clock.fall_asleep(self._wire, inf)
        self._let_time_jump()
        try:
            await what
        finally:
            self._clock.wake_up(self._wire)

    async def _sleep_until(self, at: float) -> None:
        """Wait until a planned moment, or until the client has left."""
        clock, wire = self._clock, self._wire
        left = 0.0
        # A timer may fire early by a clock tick, and the clock may be changed: look again.
        while not wire.gone and (left := clock.left(at)) > 0:
            clock.fall_asleep(wire, at)
            self._let_time_jump()
            try:
                await wire.sleep(left)
            finally:
                clock.wake_up(wire)
        if not wire.gone and clock.steered == self._steered:  # else how late it is says nothing about the mock
            self._meter.late.append(-left)

    def _let_time_jump(self) -> None:
        if self._clock.may_jump:
            get_running_loop().call_soon(self._clock.jump)


def _message_of(move: Move) -> Message | None:
    """The ASGI message that a move is, if it is one."""
    if isinstance(move, Part):
        return {"type": "http.response.body", "body": move.data, "more_body": True}
    if isinstance(move, End):
        return {"type": "http.response.body", "body": move.data}
    if isinstance(move, Start):
        return {"type": "http.response.start", "status": move.status, "headers": move.headers}
    return None
