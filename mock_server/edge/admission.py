"""From a request's head and body to an admitted session, or a refusal: all checks, in the contract's order."""

from __future__ import annotations

from functools import partial
from hashlib import blake2b
from typing import Final

from mock_server.contract.endpoints import LLM_AUTO
from mock_server.contract.errors import IDEMPOTENCY_CONFLICT, INVALID_REQUEST, METHOD_NOT_ALLOWED, NOT_FOUND, Refusal
from mock_server.contract.messages import MAX_BODY_BYTES, ChatRequest
from mock_server.contract.reading import read_request
from mock_server.core.account import Account
from mock_server.core.idempotency import Conflict
from mock_server.core.rules import NO_CHOICE, Identity
from mock_server.core.session import Session
from mock_server.edge.exchange import Exchange
from mock_server.edge.keys import find_key
from mock_server.edge.notes import hash_of
from mock_server.edge.request import TOO_LARGE, WRONG_TYPE, Head, read_directives

MAX_IDEMPOTENCY_KEY: Final = 255


def not_found() -> Refusal:
    """What is asked of a path that there is not."""
    return Refusal(NOT_FOUND, NOT_FOUND.message)


def not_allowed(allowed: str) -> Refusal:
    """What is asked by a method that the path does not have; it has those ``allowed``."""
    return Refusal(METHOD_NOT_ALLOWED, METHOD_NOT_ALLOWED.message, allow=allowed)


def decide(exchange: Exchange, head: Head, query: bytes, body: bytes) -> Session | Refusal:
    """Decide a call of the API's endpoint by the documented method that has arrived whole."""
    refusal = enter(exchange, head, LLM_AUTO.method)
    if refusal is None and not query:
        exchange.notes.body_hash = hash_of(body)  # as `note_body`, where every microsecond counts
    else:
        note_body(exchange, query, body)
    return admit(exchange, head, query, body) if refusal is None else refusal


def enter(exchange: Exchange, head: Head, method: str) -> Refusal | None:
    """The checks that need no body."""
    engine, now = exchange.shared.engine, exchange.arrived
    exchange.belong(state := engine.scope(exchange.test, now))
    if method != LLM_AUTO.method:
        return not_allowed(LLM_AUTO.method)
    account = engine.authenticate(state, head.api_key(), now)
    if isinstance(account, Refusal):
        return account
    exchange.account = account
    return None


def note_body(exchange: Exchange, query: bytes, body: bytes) -> None:
    """Note the body, empty where it did not come whole, and where the key stood, of an exchange that was entered."""
    notes = exchange.notes
    if body:
        notes.body_hash = hash_of(body)
    if exchange.account is None or query:
        known = exchange.shared.engine.world.accounts
        notes.key_place, notes.key = find_key(notes.head, notes.path, query, body, known)


def admit(exchange: Exchange, head: Head, query: bytes, body: bytes) -> Session | Refusal:
    """The checks that need the body, and admission, of an exchange that was entered."""
    engine, state, account = exchange.shared.engine, exchange.state, exchange.account
    assert state is not None
    assert account is not None
    if len(body) > MAX_BODY_BYTES:
        return TOO_LARGE
    if not head.is_json():
        return WRONG_TYPE
    request = read_request(body, strict=engine.world.gateway.strict)
    if isinstance(request, Refusal):
        return request
    exchange.stream = request.stream
    if head.wrong_test is not None:
        return head.wrong_test
    if (head.prefer or head.faults or query) and (refusal := _direct(exchange, head, query)):
        return refusal
    identity, choice, facts = engine.identify(state, request), NO_CHOICE, None
    if exchange.fault is None and engine.has_rules(state):
        facts = engine.facts(state, account.key, request, identity)
        choice = engine.choose(state, facts, routed=False)
        if (refusal := exchange.cannot(choice, identity.fingerprint)) is not None:
            return refusal
        if choice.strike is not None:
            facts, exchange.fault = None, choice.strike.fault
            if choice.strike.code is not None:
                exchange.commit(choice)
                return exchange.force(choice.strike.code, choice.strike.headers)
    decision = _start(exchange, account, head, request, identity, body)
    if isinstance(decision, Refusal):
        exchange.fault = None
        return decision
    exchange.commit(choice)
    return exchange.begin(decision, facts)


def _direct(exchange: Exchange, head: Head, query: bytes) -> Refusal | None:
    """Take in what the call asks of the mock itself; the refusal that this is, or that it comes to."""
    directives = read_directives(head, query, stream=exchange.stream, can_cut=exchange.can_cut)
    if isinstance(directives, Refusal):
        return directives
    exchange.applied, exchange.fault = directives.applied, directives.fault
    return None if directives.force is None else exchange.force(directives.force)


def _start(
    exchange: Exchange, account: Account, head: Head, request: ChatRequest, identity: Identity, body: bytes
) -> Session | Refusal:
    """Admission: by the answer that an idempotency key got before, or of a new call."""
    engine, state = exchange.shared.engine, exchange.state
    assert state is not None
    if head.idempotency and engine.world.gateway.idempotency:
        known = _recall(exchange, account, head.idempotency, body)
        if known is not None:
            return known
    return engine.start(state, account, request, exchange.arrived, identity, can_cut=exchange.can_cut)


def _recall(exchange: Exchange, account: Account, key: bytes, body: bytes) -> Session | Refusal | None:
    """What the idempotency key calls for: the answer it got before, a refusal, or None for a new call."""
    state = exchange.state
    assert state is not None
    if len(key) > MAX_IDEMPOTENCY_KEY:
        why = f"Idempotency-Key must have at most {MAX_IDEMPOTENCY_KEY} characters"
        return Refusal(INVALID_REQUEST, f"{INVALID_REQUEST.message}: {why}")
    name = (account.key, key.decode("latin-1"))
    digest = blake2b(body, digest_size=16).digest()
    known = state.idempotency.begin(name, digest, exchange.arrived)
    if isinstance(known, Conflict):
        kind = IDEMPOTENCY_CONFLICT
        return Refusal(kind, f"{kind.message}: {known.reason}")
    if known is None:
        exchange.keep = partial(state.idempotency.finish, name)
        return None
    exchange.request_id, exchange.notes.replayed = known.answer.request_id, True
    return exchange.shared.engine.replay(state, account, known.answer, exchange.arrived)
