"""Sends the probes one after another, within the budget and with patience, and keeps what was answered."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from time import sleep
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from mock_server.kit.conform.budget import Budget
from mock_server.kit.conform.probes import FIRST, NO_KEY, OWN, PROBES, UNKNOWN, Probe
from mock_server.kit.conform.seen import Exchange, Seen
from mock_server.kit.conform.target import Target
from mock_server.kit.conform.wire import Message, NoReply, Reply, ask

_UNKNOWN_KEY: Final = "sk-conform-nobody"
_LOST_IN_A_ROW: Final = 3
_KNOWN_BY: Final = 8  # characters of a key in a row by which it may be known
_SECONDS: Final = re.compile(r"[0-9]{1,6}")


class UnsuitableError(Exception):
    """There is nothing to judge at the target; the message is one line."""


class Keys(Struct, frozen=True):
    """The caller's key, and keys that are known to be answered with a status."""

    own: str
    given: Mapping[int, str] = {}


class Asker:
    """Mutable: the exchanges so far, what is left of patience, who is to wait, and the answers lost in a row."""

    def __init__(
        self,
        target: Target,
        keys: Keys,
        budget: Budget,
        *,
        timeout_s: float,
        patience_s: float,
        send: Callable[[Target, Message, float], Reply | NoReply] = ask,
        wait: Callable[[float], None] = sleep,
    ) -> None:
        self._target, self._keys, self._budget = target, keys, budget
        self._timeout_s, self._patience_s = timeout_s, patience_s
        self._send, self._wait = send, wait
        self._mask = masks((keys.own, *keys.given.values()))
        self._idempotency = f"conform-{secrets.token_hex(16)}"
        self._lost = 0
        self._told_to_wait: dict[str, str] = {}
        self.sent = 0
        self.exchanges: list[Exchange] = []

    def ask_all(self, progress: Callable[[int, int, str], None] = lambda *_: None) -> Seen:
        """Ask everything. Raises :class:`UnsuitableError` as soon as it is clear that there is nothing to judge."""
        for number, probe in enumerate(PROBES.values(), 1):
            progress(number, len(PROBES), probe.asks)
            for exchange in self._tries(probe):
                self.exchanges.append(exchange)
            self._check(self.exchanges[-1])
        return Seen(tuple(self.exchanges), frozenset(self._keys.given))

    def _tries(self, probe: Probe) -> Iterator[Exchange]:
        tries = probe.tries
        while True:
            exchange = Exchange(probe, self._answer(probe))
            yield exchange
            if isinstance(exchange.answer, str) or exchange.status == probe.until_status:
                return
            tries -= 1
            if exchange.status == 429 and not probe.until_status:
                if not self._wait_for(exchange):
                    return
                tries = max(tries, 1)
            elif tries < 1 or not (probe.until_status or not exchange.status or exchange.status >= 500):
                return

    def _answer(self, probe: Probe) -> Reply | NoReply | str:
        key = self._key_of(probe)
        if key is None:
            return f"no key is given that is answered with {probe.key}: --key-for {probe.key}=KEY"
        if self._lost >= _LOST_IN_A_ROW:
            return f"{_LOST_IN_A_ROW} requests in a row got no answer"
        if why := self._told_to_wait.get(probe.key) or self._budget.why_not(probe):
            return why
        answer = self._masked(self._send(self._target, self._message(probe, key), self._timeout_s))
        self.sent += 1
        self._lost = self._lost + 1 if isinstance(answer, NoReply) else 0
        self._budget.count(Exchange(probe, answer))
        return answer

    def _key_of(self, probe: Probe) -> str | None:
        if probe.key.isdigit():
            return self._keys.given.get(int(probe.key))
        return {OWN: self._keys.own, UNKNOWN: _UNKNOWN_KEY, NO_KEY: NO_KEY}[probe.key]

    def _message(self, probe: Probe, key: str) -> Message:
        lines = [("User-Agent", "mock-server-conform"), ("Accept", "*/*")]
        if key:
            lines.append(("Authorization", f"{probe.scheme}{key}"))
        if probe.content_type and probe.method in ("POST", "PUT"):
            lines.append(("Content-Type", probe.content_type))
        for name, value in probe.lines:
            lines.append((name, value.format(key=key, idempotency=self._idempotency)))
        return Message(probe.method, probe.path, tuple(lines), probe.content())

    def _masked(self, answer: Reply | NoReply) -> Reply | NoReply:
        """The answer without the keys, should it repeat them; of the same length."""
        if isinstance(answer, NoReply):
            return answer
        lines = tuple((name, self._mask(value.encode("latin-1")).decode("latin-1")) for name, value in answer.lines)
        return replace(answer, lines=lines, body=self._mask(answer.body))

    def _wait_for(self, exchange: Exchange) -> bool:
        """Wait as long as a 429 asks for, if there is patience left for that."""
        told = exchange.reply.all_of("retry-after") if exchange.reply is not None else []
        wait_s = float(told[0]) if told and _SECONDS.fullmatch(told[0]) else 1.0
        if wait_s > self._patience_s:
            # Whoever asks on all the same hammers at a gateway that has asked not to be.
            self._told_to_wait[exchange.probe.key] = f"a 429 asked to wait {wait_s:g} s, longer than --patience allows"
            return False
        self._patience_s -= max(wait_s, 1.0)
        self._wait(wait_s)
        return True

    def _check(self, exchange: Exchange) -> None:
        """Raise where the first answers show that there is nothing to judge."""
        if exchange.probe is FIRST:
            _check_first(exchange)
        elif exchange.probe.name == "plain":
            documents = [document for one in self.exchanges for document in one.documents()]
            if not any("success" in document for document in documents):
                raise UnsuitableError(
                    f"{self._target.url} does not answer like this gateway: neither a refusal "
                    f"({self.exchanges[0].answered}) nor an answer ({exchange.answered}) says `success`"
                )


def _check_first(exchange: Exchange) -> None:
    answer = exchange.answer
    if isinstance(answer, str):
        raise UnsuitableError(f"nothing may be asked: {answer}")
    if isinstance(answer, NoReply):
        raise UnsuitableError(f"the target does not answer: {answer.why}")
    if 300 <= answer.status < 400:
        where = "".join(answer.all_of("location")[:1])[:200] or "nowhere"
        raise UnsuitableError(
            f"the target redirects ({answer.status}) to {where}: redirects are not followed, so that the key goes "
            "nowhere else; give the gateway's own address as --target"
        )
    if answer.status in (404, 405, 501):
        raise UnsuitableError(f"the target has no {exchange.probe.method} {exchange.probe.path}: {exchange.answered}")
    if answer.status in (401, 403):
        raise UnsuitableError(f"the key has no rights there: {exchange.answered}; check --api-key")


def masks(keys: tuple[str, ...]) -> Callable[[bytes], bytes]:
    """Puts asterisks in the place of whatever is part of a key, so much of it in a row that it can be known by."""
    parts: set[bytes] = set()
    for key in keys:
        raw = key.encode()
        size = min(_KNOWN_BY, len(raw))
        parts |= {raw[at : at + size] for at in range(len(raw) - size + 1)}
    found = re.compile(b"(?=(" + b"|".join(map(re.escape, sorted(parts))) + b"))")

    def mask(text: bytes) -> bytes:
        hidden: bytearray | None = None
        for match in found.finditer(text):
            hidden = bytearray(text) if hidden is None else hidden
            start, end = match.span(1)
            hidden[start:end] = b"*" * (end - start)
        return text if hidden is None else bytes(hidden)

    return mask
