"""The script of one exchange: what is sent and waited for until its end, and where a fault strikes.

A script is a generator of :mod:`moves <mock_server.edge.moves>`. It is told the time with the answer to each move, and
knows no other clock; a client that has left ends it early, and closing the exchange then abandons the session.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import assert_never

from mock_server.contract.errors import Refusal
from mock_server.core.faults import NO_FAULT, Breaking, Stage
from mock_server.core.session import Answer, Session
from mock_server.edge import sse, whole
from mock_server.edge.answers import WholeAnswer, length_line
from mock_server.edge.exchange import Exchange
from mock_server.edge.framing import Framer
from mock_server.edge.moves import End, Fin, Flush, Move, Moves, Part, Reset, Start, Turn, Until
from mock_server.edge.spoiled import Spoiled, dribbled, spoil
from mock_server.edge.timeline import Timeline


class Script:
    """Plays one exchange to its end: failover until an attempt is good, then its answer, whole or streamed.

    Mutable: the time, by how much a delay has put off all that follows, and up to which moment of the plan what is
    planned has come, all in simulated seconds; and how many pieces were framed, of which a few may be held back.
    """

    __slots__ = ("_exchange", "_fault", "_framed", "_notes", "_now", "_put_off", "_reached", "_silence")

    def __init__(self, exchange: Exchange, now: float) -> None:
        self._exchange = exchange
        self._notes = exchange.notes
        self._fault = exchange.fault or NO_FAULT
        self._framed = 0
        self._now = self._reached = now
        self._put_off = 0.0
        self._silence = exchange.shared.engine.world.gateway.keep_alive_s

    def moves(self, decision: Session | Refusal) -> Moves:
        """All moves; what each sub-script returns is whether there is more to come."""
        exchange = self._exchange
        early = isinstance(decision, Session)  # whether a fault before the headers may still strike
        while True:
            self._fault = exchange.fault or NO_FAULT
            if early and self._fault.stage == "before_headers" and self._fault.kind is not None:
                early = False
                if not (yield from self._passes("before_headers", exchange.arrived)):
                    return False
            answer = whole.due(exchange, decision, self._reached, self._now)
            if answer is not None:
                return (yield from self._finish(answer))
            assert isinstance(decision, Session)  # a refusal is always due
            if self._fault is not (exchange.fault or NO_FAULT):
                continue  # a rule about the route has struck just now
            if decision.attempt.failure is None:
                return (yield from (self._stream(decision) if exchange.stream else self._plain(decision)))
            if not (yield from self._wait(decision.attempt.ends_at)):
                return False

    def _do(self, move: Move) -> Moves:
        """One move, after which the time is another; whether the client is still there."""
        now = yield move
        if now is None:
            return False
        self._now, self._reached = now, now - self._put_off
        if isinstance(move, Part | End):
            self._notes.sent_bytes += len(move.data)
        elif isinstance(move, Start):
            self._notes.stage = "before_first_token"
        return True

    def _wait(self, at: float) -> Moves:
        """Wait until the planned moment ``at`` and what it was put off by."""
        now = yield Until(at + self._put_off)
        if now is None:
            return False
        self._now, self._reached = now, max(now - self._put_off, at)  # rounding must not lose what was waited for
        return True

    def _finish(self, last: WholeAnswer | End) -> Moves:
        """Send what completes the answer."""
        if not (yield from self._do(last)):
            self._exchange.ending = "abandoned"
            return False
        self._exchange.ending = "complete"
        if isinstance(last, WholeAnswer):
            self._notes.handed_over(last)
        else:
            self._notes.pieces, self._notes.stage = self._framed, ""
        return False

    def _write(self, writes: Iterable[bytes]) -> Moves:
        """Send parts of a body, each in a write of its own; False when the client left meanwhile."""
        for number, write in enumerate(writes):
            if number and not (yield from self._do(Flush())):
                return False
            now = yield Part(write)  # as `_do`, which would be a generator more for every piece
            if now is None:
                return False
            self._now, self._reached = now, now - self._put_off
            self._notes.sent_bytes += len(write)
        return True

    def _hand_over(self, framer: Framer, texts: list[str], opening: Sequence[bytes] = ()) -> Moves:
        """Send the pieces that are due, behind the ``opening`` event of the stream if that is still to be sent."""
        notes = self._notes
        for number, batch in enumerate(framer.batches(texts)):
            writes = framer.pieces(batch, after=() if number else opening)
            if number and writes and not (yield from self._do(Flush())):
                return False
            if not (yield from self._write(writes)):
                return False
            self._framed += len(batch)
            if self._framed > framer.held:
                notes.pieces, notes.stage = self._framed - framer.held, "mid_stream"
        return True

    def _stream(self, session: Session) -> Moves:
        exchange, attempt, answer = self._exchange, session.attempt, session.answer()
        if not (yield from self._wait(attempt.first_at)):
            return False
        framer = Framer(self._fault.framing)
        exchange.struck = exchange.struck or self._fault.framing is not None
        timeline = Timeline(exchange.shared.engine.planner, attempt, self._fault)
        yield from self._do(Start(200, exchange.stream_head(answer, attempt.first_at, attempt.ends_at, self._now)))
        events = [sse.opening(exchange.request_id, answer.model, answer.provider)]
        if self._fault.stage == "before_first_token" and self._fault.kind is not None:
            before = [*framer.writes(events), *framer.flush()]
            if not (yield from self._passes("before_first_token", attempt.first_at, before)):
                return False
            events = []
        there = yield from self._hand_over(framer, timeline.due(attempt.first_at), events)
        if not there or not (yield from self._pieces(timeline, framer)):
            exchange.sent_tokens = timeline.sent_tokens
            return False
        exchange.sent_tokens = answer.usage.completion_tokens
        return (yield from self._close(session, framer, answer))

    def _pieces(self, timeline: Timeline, framer: Framer) -> Moves:
        """Send the pieces that are still to come; False when the stream is over before its closing events."""
        while True:
            if timeline.at_fault:
                if not (yield from self._passes("mid_stream", timeline.fault_at, framer.flush())):
                    return False
                timeline.at_fault = False
            if timeline.finished:
                if self._notes.pieces == self._framed:
                    self._notes.stage = "before_usage"
                return True
            if timeline.next_at <= self._reached:  # more is due than one write holds
                there = yield from self._do(Turn() if self._fault.framing is None else Flush())
            elif timeline.next_at + self._put_off - self._now > self._silence:
                there = yield from self._late_piece(timeline.next_at)
            else:
                there = yield from self._wait(timeline.next_at)
            if not there or not (yield from self._hand_over(framer, timeline.due(self._reached))):
                return False

    def _late_piece(self, at: float) -> Moves:
        """Wait for a piece that is long in coming, with a keep-alive comment each time the silence has been long."""
        last = self._now
        while at + self._put_off - last > self._silence:
            last += self._silence
            if not (yield from self._do(Until(last))):
                return False
            yield from self._do(Part(sse.KEEP_ALIVE))
        return (yield from self._wait(at))

    def _close(self, session: Session, framer: Framer, answer: Answer) -> Moves:
        """The closing events of a stream."""
        ends_at = session.attempt.ends_at
        if not (yield from self._wait(ends_at)):
            return False
        stage = self._fault.stage
        if stage == "before_usage" and not (yield from self._passes(stage, ends_at, framer.flush())):
            return False
        closing = [sse.usage(answer.finish_reason, answer.usage), sse.DONE_EVENT]
        if self._fault.stage == "before_done":
            session.tell(ends_at)
            told = closing if self._fault.kind == "done_then_hang" else closing[:1]
            if not (yield from self._passes("before_done", ends_at, [*framer.writes(told), *framer.flush()])):
                return False
            closing = closing[1:]
        session.settle(ends_at)
        *writes, last = [*framer.writes(closing), *framer.flush()]
        if writes and not ((yield from self._write(writes)) and (yield from self._do(Flush()))):
            return False
        return (yield from self._finish(End(last)))

    def _passes(self, stage: Stage, at: float, before: Iterable[bytes] = ()) -> Moves:
        """Strike, once all ``before`` is written, if the fault is about this stage; False when the answer is over.

        The plan comes to the stage ``at`` a moment from which on all that lasts counts, so that no lateness adds to it.
        """
        if not (yield from self._write(before)):
            return False
        fault, kind = self._fault, self._fault.kind
        self._notes.pieces, self._notes.stage = self._framed, "" if kind == "done_then_hang" else stage
        match kind:
            case _ if kind is None or fault.stage != stage:
                return True
            case "empty" | "truncated_json" | "malformed_json" | "wrong_type" | "dribble":
                return True  # they strike where the whole answer is sent
            case "delay":
                assert fault.for_s is not None
                self._exchange.struck = True
                self._put_off = fault.for_s
                return (yield from self._do(Until(at + fault.for_s)))
            case "bad_chunk":
                self._exchange.struck = True
                return (yield from self._do(Part(sse.GARBAGE)))
            case _:
                self._exchange.struck, self._exchange.ending = True, "fault"
                for move in self._break(kind, inf if fault.for_s is None else at + fault.for_s):
                    if not (yield from self._do(move)):
                        break
                return False

    def _break(self, kind: Breaking, until: float) -> Iterator[Move]:
        """End the answer in the fault's way.

        The call keeps its place and its reservation through a stall, and no longer: how long its client takes to read
        what comes before the break is not the provider's affair.
        """
        session = self._exchange.session
        if session is not None and kind in ("stall", "done_then_hang"):
            session.held_until = until
        elif session is not None:
            session.fail(self._now)
        match kind:
            case "reset":
                yield Reset()
            case "fin":
                yield Fin()
            case "stall" | "done_then_hang":
                yield Until(until)
                if session is not None:
                    session.fail(self._now)
                yield Fin()
            case "error_event":
                yield End(sse.error(self._exchange.request_id))
            case "garbage_event":
                yield End(sse.GARBAGE)
            case "eof":
                yield End(b"")
            case _:
                assert_never(kind)

    def _plain(self, session: Session) -> Moves:
        """A whole answer, when it is due; a fault may spoil it."""
        exchange, attempt = self._exchange, session.attempt
        if not (yield from self._wait(attempt.ends_at)):
            return False
        fault = self._fault
        whole = exchange.answer(session.answer(), attempt.ends_at, self._now)
        if fault.kind == "dribble":
            return (yield from self._dribble(session, whole))
        if (spoiled := spoil(fault.kind, whole)) is not None:
            return (yield from self._send_spoiled(session, spoiled))
        if fault.stage == "before_first_token":
            yield from self._do(Start(whole.status, [*whole.headers, length_line(whole.body)]))
            if not (yield from self._passes("before_first_token", attempt.ends_at)):
                return False
            session.settle(attempt.ends_at)
            return (yield from self._finish(End(whole.body)))
        session.settle(attempt.ends_at)
        return (yield from self._finish(whole))

    def _dribble(self, session: Session, whole: WholeAnswer) -> Moves:
        yield from self._do(Start(whole.status, [*whole.headers, length_line(whole.body)]))
        begun, self._exchange.struck = session.attempt.ends_at, True
        for after_s, piece in dribbled(whole.body, self._fault.for_s):
            if not (yield from self._do(Until(begun + after_s))):
                return False
            if (yield from self._do(Part(piece))):
                self._notes.stage = "mid_stream"
        session.settle(session.attempt.ends_at)
        return (yield from self._finish(End(b"")))

    def _send_spoiled(self, session: Session, spoiled: Spoiled) -> Moves:
        self._exchange.ending, self._exchange.struck = "fault", True
        session.fail(self._now)
        yield from self._do(Start(200, spoiled.headers))
        if spoiled.complete:
            yield from self._do(End(spoiled.body))
        else:
            yield from self._do(Part(spoiled.body))
            yield from self._do(Fin())
        return False
