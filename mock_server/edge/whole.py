"""Whole answers that are due: those that leave in one piece, a stream's events included."""

from __future__ import annotations

from mock_server.contract.errors import Refusal
from mock_server.core.session import Answer, Session
from mock_server.edge import sse
from mock_server.edge.answers import WholeAnswer
from mock_server.edge.exchange import Exchange
from mock_server.edge.timeline import WRITE_CHARS, cut


def due(exchange: Exchange, decision: Session | Refusal, until: float, now: float) -> WholeAnswer | None:
    """The whole answer if it is due by ``until``; None while there is something to wait for, or to send in parts.

    Attempts that have failed by then are settled at the moments they were planned to fail.
    """
    whole = exchange.due(decision, until, now)
    if whole is None and exchange.stream and exchange.fault is None:
        assert isinstance(decision, Session)  # a refusal is always due
        return _stream(exchange, decision, until, now)
    return whole


def _stream(exchange: Exchange, session: Session, until: float, now: float) -> WholeAnswer | None:
    """A stream of which all is due, if it fits into one write."""
    attempt, passage = session.attempt, session.attempt.passage
    if passage is None or attempt.ends_at > until or len(passage.text) > WRITE_CHARS:
        return None
    answer = session.settle(attempt.ends_at)
    assert isinstance(answer, Answer)  # what has a passage does not fail
    ends = passage.pieces().ends
    body = (
        sse.opening(exchange.request_id, answer.model, answer.provider)
        + sse.pieces(cut(passage.text, 0, ends))
        + sse.usage(answer.finish_reason, answer.usage)
        + sse.DONE_EVENT
    )
    headers = exchange.stream_head(answer, attempt.first_at, attempt.ends_at, now)
    return WholeAnswer(200, headers, body, streamed=True, pieces=len(ends))
