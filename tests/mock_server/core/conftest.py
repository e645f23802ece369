"""Builders: worlds from a few lines of TOML, requests, and sessions played to their end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mock_server.config import build_world
from mock_server.contract.accounts import LOAD_TEST_KEY
from mock_server.contract.errors import Refusal
from mock_server.contract.messages import ChatRequest
from mock_server.core.account import Account
from mock_server.core.engine import Engine
from mock_server.core.provider import Attempt
from mock_server.core.session import Answer, Session
from mock_server.core.world import World

# Three steady models, best first by quality and cheapest last to first: 100 ms to the first token, 100 tokens/s.
STEADY = "".join(
    f"""
[models."{name}"]
ttft = {{ law = "constant", ms = 100.0 }}
tokens_per_s = 100.0
window = {window}
price_in = {price}
price_out = {price}
quality = {quality}
"""
    for name, window, price, quality in (
        ("alpha/one", 50_000, 3.0, 0.9),
        ("beta/two", 100_000, 2.0, 0.6),
        ("gamma/three", 200_000, 1.0, 0.3),
    )
)


def _world(toml: str = "", extends: str | None = None) -> World:
    """``toml`` over the three steady models, or over a preset."""
    base = STEADY if extends is None else f'extends = "{extends}"\n'
    tables = toml.find("[")
    head, tail = (toml, "") if tables < 0 else (toml[:tables], toml[tables:])
    return build_world(f"{head}\n{base}\n{tail}" if extends is None else f"{base}{toml}", "test.toml")


def _request(text: str = "Hello there", **fields: Any) -> ChatRequest:
    fields.setdefault("strategy", {"mode": "quality"})
    return msgspec.convert({"messages": [{"role": "user", "content": text}], **fields}, ChatRequest)


def _account(gateway: Engine, key: str = LOAD_TEST_KEY, now: float = 0.0, test: str = "") -> Account:
    account = gateway.authenticate(gateway.scope(test, now), key, now)
    assert isinstance(account, Account)
    return account


def _start(
    gateway: Engine, request: ChatRequest, key: str = LOAD_TEST_KEY, now: float = 0.0, test: str = ""
) -> Session | Refusal:
    account = gateway.authenticate(gateway.scope(test, now), key, now)
    if isinstance(account, Refusal):
        return account
    return gateway.start(gateway.scope(test, now), account, request, now)


def _play(session: Session | Refusal) -> Answer | Refusal:
    """Settle every attempt at its planned moment."""
    step: Attempt | Answer | Refusal = session if isinstance(session, Refusal) else session.attempt
    while isinstance(step, Attempt):
        assert isinstance(session, Session)
        step = session.settle(step.ends_at)
    return step


@pytest.fixture(scope="session")
def world_of() -> Callable[..., World]:
    return _world


@pytest.fixture(scope="session")
def engine_of() -> Callable[..., Engine]:
    """A new engine at time 0 with seed 7."""
    return lambda toml="", extends=None, seed=7: Engine(_world(toml, extends), seed, 0.0)


@pytest.fixture(scope="session")
def request_of() -> Callable[..., ChatRequest]:
    """A request of one user message, mode ``quality``."""
    return _request


@pytest.fixture(scope="session")
def account_of() -> Callable[..., Account]:
    return _account


@pytest.fixture(scope="session")
def start() -> Callable[..., Session | Refusal]:
    """Authenticate and start a call; a refusal is returned as it is."""
    return _start


@pytest.fixture(scope="session")
def begin() -> Callable[..., Session]:
    """Start a call that must be admitted."""

    def begin(*arguments: Any, **options: Any) -> Session:
        session = _start(*arguments, **options)
        assert isinstance(session, Session), session
        return session

    return begin


@pytest.fixture(scope="session")
def play() -> Callable[..., Answer | Refusal]:
    return _play


@pytest.fixture(scope="session")
def ask() -> Callable[..., Answer | Refusal]:
    """Start a call and play it to its end."""
    return lambda *arguments, **options: _play(_start(*arguments, **options))
