"""Answers as fixtures: what was asked and answered, without keys, ids and whatever may name an account."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Any, Final

import msgspec

from mock_server.contract.headers import RESPONSE_HEADERS
from mock_server.kit.conform.seen import Exchange, Seen
from mock_server.kit.conform.wire import Reply

SCHEMA: Final = 1
# Whatever else a gateway sends (cookies, hosts, traces) is not the contract's, and may be somebody's.
_KEPT_HEADERS: Final = frozenset({"content-type", *(row.name.lower() for row in RESPONSE_HEADERS)})
_REDACTED: Final = "[redacted]"
_LONG_BODY: Final = 65_536
# What is told apart by what stands around it; JSON's escapes are no part of it. One pass, whatever the text holds.
_RUN: Final = re.compile(r"\\u[0-9a-fA-F]{4}|\\.|[\w.+@*-]+", re.ASCII)
_ADDRESS: Final = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}")
_LONGEST_V6: Final = 45
_MAY_BE_V6: Final = re.compile(r"[0-9a-fA-F:.]+")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NAMED: Final = re.compile(
    r"(?:xox[a-z]|xapp|gh[opsur]|glpat|hf|rk|whsec|pat|cust|customer|tenant|sk|pk|key|org|acct|account|user|usr|cus|proj|project|team|sess|trace|chatcmpl|resp|msg)[-_][\w*-]{6}"
)
_PIECES: Final = re.compile(r"[0-9A-Za-z]{16,}")
_HUMPS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]")
_LETTERS_A_HUMP: Final = 4
_LONGEST_WORD: Final = 20
_MASKED: Final = "*" * 8
_SHORTEST_ID: Final = 6


def fixtures(target: str, seen: Seen) -> bytes:
    """The exchanges as indented JSON; the same id stays the same, and keeps the documented form where it has that."""
    ids = _Ids()
    document = {
        "schema": SCHEMA,
        "target": target,
        "exchanges": [_exchange(one, reply, ids) for one, reply in seen.replies()],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


class _Ids:
    """Mutable: what stands for each id that was met."""

    def __init__(self) -> None:
        self._stands_for: dict[str, str] = {}

    def learn(self, exchange: Exchange, reply: Reply) -> None:
        """Take note of the ids that an answer tells."""
        told = [*reply.all_of("x-request-id"), *(document.get("request_id") for document in exchange.documents())]
        for value in told:
            if isinstance(value, str) and len(value) >= _SHORTEST_ID and value not in self._stands_for:
                number = len(self._stands_for) + 1
                documented = re.fullmatch(r"req_[0-9a-f]{7}", value)
                self._stands_for[value] = f"req_{number:07x}" if documented else f"id_{number}"

    def hide(self, text: str) -> str:
        """The text without ids and other marks."""
        known = sorted(self._stands_for, key=len, reverse=True)
        pattern = re.compile("|".join(map(re.escape, known)) or "(?!)")
        parts, at = [], 0
        for match in pattern.finditer(text):
            parts += [_redacted(text[at : match.start()]), self._stands_for[match[0]]]
            at = match.end()
        return "".join([*parts, _redacted(text[at:])])


def _redacted(text: str) -> str:
    """The text without what may name somebody: each run of such characters is looked at as a whole."""
    text = _MAY_BE_V6.sub(_without_v6, text)
    return _RUN.sub(lambda run: _REDACTED + run[0][len(run[0].rstrip(".")) :] if _is_private(run[0]) else run[0], text)


def _without_v6(found: re.Match[str]) -> str:
    """What was found, or what stands for the IPv6 address that it is, after a name's colon or not."""
    word = found[0].rstrip(".")
    address = word[1:] if word.startswith(":") and not word.startswith("::") else word
    try:
        IPv6Address(address if ":" in address[:_LONGEST_V6] else "")
    except ValueError:
        return found[0]
    return found[0].replace(address, _REDACTED) if address.strip(":") else found[0]


def _is_private(run: str) -> bool:
    word = run.rstrip(".")
    if word.startswith("\\"):
        return False
    if "@" in word[1:-1] or _MASKED in word or _NAMED.match(word) or _UUID.fullmatch(word) or _ADDRESS.fullmatch(word):
        return True
    # A number is no name, and neither is what is written as a word: a token's letters are not.
    return any(not piece[0].isdigit() and not _is_word(piece[0]) for piece in _PIECES.finditer(word))


def _is_word(piece: str) -> bool:
    """Whether it is letters alone that look like words, as `UnsupportedMediaType`; no word has so many letters."""
    return piece.isalpha() and all(len(part) < _LONGEST_WORD for part in _HUMPS.findall(piece)) and _reads(piece)


def _reads(piece: str) -> bool:
    """Whether its humps are as long as those of words: a token in mixed case changes it every other letter."""
    return len(piece) >= _LETTERS_A_HUMP * len(_HUMPS.findall(piece))


def _exchange(exchange: Exchange, reply: Reply, ids: _Ids) -> dict[str, Any]:
    ids.learn(exchange, reply)
    probe, body = exchange.probe, exchange.probe.content()
    asked = body.decode("utf-8", "replace") if len(body) <= _LONG_BODY else f"{len(body):,} bytes"
    return {
        "probe": probe.name,
        "asks": probe.asks,
        "request": {"method": probe.method, "path": probe.path, "content_type": probe.content_type, "body": asked},
        "answer": {
            "status": reply.status,
            "headers": [[name, ids.hide(value)] for name, value in reply.lines if name.lower() in _KEPT_HEADERS],
            "body": ids.hide(reply.body[:_LONG_BODY].decode("utf-8", "replace")),
            "broke": reply.broke,
        },
    }
