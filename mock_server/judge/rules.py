"""The rules a client is judged by: what each asks, what to change where it is broken, and how to exercise it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from mock_server.judge import manners, retries, streams
from mock_server.judge.capabilities import Capability
from mock_server.judge.finding import Finding, Seen
from mock_server.judge.tries import SHORT_S


class Rule(Struct, frozen=True):
    """One rule. ``advice`` says what to change, ``exercise`` how to put the client to the test.

    ``warns`` marks rules that warn at most. ``needs`` is the capability without which it does not apply.
    """

    name: str
    asks: str
    advice: str
    exercise: str
    check: Callable[[Seen], Finding]
    needs: Capability | None = None
    warns: bool = False


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "non_retryable_retried",
        "the same request is not sent again after an answer that says it cannot succeed; a changed one may be",
        "do not retry 4xx other than 429: fix the request (400), the key (401), or ask for less (402)",
        "let calls meet 400, 401 and 402, as with `Prefer: code=402`",
        retries.non_retryable_retried,
    ),
    Rule(
        "retry_after_ignored",
        f"nobody comes back before a Retry-After of up to {SHORT_S:g} s; after a longer one, not at once",
        "wait at least as long as Retry-After says before the next try, or give up",
        "let calls meet 429, as with `POST /__mock__/faults` and `code` 429",
        retries.retry_after_ignored,
        "retries",
    ),
    Rule(
        "no_backoff",
        "tries of one call are apart where the answer does not say when to come back",
        "wait before each retry, half a second at first, twice as long each time, times a random factor",
        "let calls meet 500, 502 or a reset, several times in a row",
        retries.no_backoff,
        "retries",
    ),
    Rule(
        "no_jitter",
        "the waits of different calls differ",
        "multiply each wait by a random factor, so that clients that failed together do not return together",
        "let four calls or more meet 500 or 502",
        retries.no_jitter,
        "retries",
        warns=True,
    ),
    Rule(
        "retry_storm",
        f"at most {retries.STORM_TRIES} tries of a call within {retries.STORM_S:g} s, and not without end",
        "limit the tries of a call, to three as most clients do, and all retries to a share of the calls",
        "let a call meet more failures in a row than it has tries",
        retries.retry_storm,
        "retries",
    ),
    Rule(
        "gave_up_early",
        "a client that says it retries does so after 429 with a short wait, 5xx and lost connections",
        "retry what the contract says may be retried, or do not promise retries",
        "let calls of a client that retries meet 500, 502 or a reset once",
        retries.gave_up_early,
        "retries",
    ),
    Rule(
        "retried_after_first_token",
        "a stream that breaks after its first piece is not asked for again blindly",
        "keep what has come and tell the application; only it can decide to ask again",
        "let streams break, as with `X-Mock-Fault: reset;stage=mid_stream;after=3`",
        streams.retried_after_first_token,
        "streaming",
    ),
    Rule(
        "error_event_accepted",
        "an error event inside a stream is not taken as a good answer",
        "look for `success: false` in every event, and fail the call with the error that it holds",
        "let streams end in `X-Mock-Fault: error_event`, and attest what the application made of it: "
        "POST /__mock__/outcomes/{request_id}",
        streams.error_event_accepted,
        "streaming",
    ),
    Rule(
        "truncated_stream_accepted",
        "a stream without [DONE] or a body that is not whole JSON is not taken as a good answer",
        "a stream is whole with its event of `done: true` and [DONE], a body when it parses: else fail the call",
        "let streams end in `X-Mock-Fault: eof;after=3`, and attest what the application made of it: "
        "POST /__mock__/outcomes/{request_id}",
        streams.truncated_stream_accepted,
    ),
    Rule(
        "slow_stream_abandoned",
        "a stream is read as long as its pieces come",
        "limit the silence between two pieces, not the length of the whole stream",
        "stream a long answer from a slow world",
        streams.slow_stream_abandoned,
        "streaming",
    ),
    Rule(
        "no_read_timeout",
        "a connection that stays silent is left at some time",
        "set a read timeout",
        "let a call meet `X-Mock-Fault: stall`, without `for`",
        streams.no_read_timeout,
        "timeouts",
    ),
    Rule(
        "duplicate_charge",
        "no call is paid for twice",
        "do not send a call again that may still succeed: wait longer, or send one Idempotency-Key with all its tries",
        "let calls be slower than the client's deadline, or break after they were charged",
        retries.duplicate_charge,
        "retries",
    ),
    Rule(
        "idempotency_key_misused",
        "where the client uses Idempotency-Key, each call has one of its own and all its tries the same",
        "make the key when the call is made, not when it is sent, and never use it for another call",
        "let calls of a client with idempotency keys fail and be tried again",
        manners.idempotency_key_misused,
        "idempotency",
    ),
    Rule(
        "key_outside_header",
        "the API key stands in the Authorization header and nowhere else",
        "send `Authorization: Bearer KEY`; a key in an address or a body ends up in logs",
        "send any call",
        manners.key_outside_header,
    ),
    Rule(
        "wrong_content_type",
        "the body is declared as application/json",
        "send `Content-Type: application/json`",
        "send any call",
        manners.wrong_content_type,
        warns=True,
    ),
    Rule(
        "connection_per_request",
        "connections are reused",
        "keep one client with its pool of connections instead of a new one for each call",
        f"send {manners.CHANCES + 1} calls or more, one soon after the other",
        manners.connection_per_request,
        warns=True,
    ),
    Rule(
        "timeout_below_p99",
        "the deadline leaves good answers the time they need",
        "set the deadline above the slowest good answers, the gateway's p99 at least",
        f"send {manners.P99_CALLS} calls to a world with latencies, as `realistic`",
        manners.timeout_below_p99,
        "timeouts",
        warns=True,
    ),
    Rule(
        "unknown_event_rejected",
        "comments, unknown fields, empty events and any division into lines and writes are read as the standard says",
        "read streams with a parser of the WHATWG event stream format, and skip what is not known",
        "stream with `X-Mock-Fault: framing=retry_lines` and the other framings, and attest the outcome",
        streams.unknown_event_rejected,
        "streaming",
    ),
)
BY_NAME: Final = {rule.name: rule for rule in RULES}
