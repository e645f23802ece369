"""Reads what a request's head says: credentials, type, test id, and directives to the mock."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

from msgspec import Struct

from mock_server.contract.errors import (
    FORCED,
    INVALID_MOCK_DIRECTIVE,
    PAYLOAD_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    Refusal,
)
from mock_server.core.faults import Fault, FaultError, check_fits, parse_fault

MAX_TEST_ID: Final = 128
# RFC 7240: commas outside quotes part preferences, semicolons part a preference from its parameters.
_PREFERENCE: Final = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*")+')
_CODE: Final = re.compile(r'\s*code\s*(?:=\s*("[^"]*"|[^\s;]*))?\s*(?:;.*)?$', re.IGNORECASE | re.DOTALL)
_FORCIBLE: Final = {str(status): status for status in sorted(FORCED)}
_TEST_ID: Final = re.compile(rb"[!-~]{1,%d}" % MAX_TEST_ID)
_MEDIA_TYPE: Final = re.compile(rb"\s*application/json\s*(;.*)?$", re.IGNORECASE | re.DOTALL)

TOO_LARGE: Final = Refusal(PAYLOAD_TOO_LARGE, PAYLOAD_TOO_LARGE.message)
WRONG_TYPE: Final = Refusal(UNSUPPORTED_MEDIA_TYPE, UNSUPPORTED_MEDIA_TYPE.message)


@lru_cache(maxsize=64)
def _token_of(authorization: bytes) -> str:
    """The bearer token; empty when there is none or it is malformed."""
    if authorization[:7].lower() != b"bearer ":
        return ""
    return authorization[7:].strip().decode("latin-1")


class Head:
    """The request headers the gateway reads.

    ``named`` are all of them, of a name that is repeated the last. ``test`` is the test id, empty where there is none;
    ``wrong_test`` refuses one that cannot be.
    """

    __slots__ = ("authorization", "content_type", "faults", "idempotency", "named", "prefer", "test", "wrong_test")

    def __init__(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        # Where a header is repeated, the last one counts, but for Prefer, which is a list.
        named = self.named = dict(headers)
        self.authorization = named.get(b"authorization", b"")
        # RFC 9110, 5.3: only lists may come in several lines; two credentials, be they equal, are none.
        if len(named) < len(headers) and sum(name == b"authorization" for name, _ in headers) > 1:
            self.authorization = b""
        self.content_type = named.get(b"content-type", b"")
        self.test = ""
        self.wrong_test: Refusal | None = None
        if b"x-mock-test" in named:
            self._read_test({value for name, value in headers if name == b"x-mock-test"})
        self.faults = [] if b"x-mock-fault" not in named else [v for n, v in headers if n == b"x-mock-fault"]
        self.idempotency = named.get(b"idempotency-key", b"")
        self.prefer = named.get(b"prefer", b"")
        if self.prefer:
            self.prefer = b",".join(value for name, value in headers if name == b"prefer")

    def _read_test(self, values: set[bytes]) -> None:
        if len(values) > 1:
            self.wrong_test = bad_directive("two test ids, of headers or of the address, contradict each other")
            return
        test = read_test_id(values.pop())
        if isinstance(test, Refusal):
            self.wrong_test = test
        else:
            self.test = test

    def api_key(self) -> str:
        """The bearer token; empty when there is none or it is malformed."""
        return _token_of(self.authorization)

    def is_json(self) -> bool:
        """Whether the body is declared as JSON."""
        return self.content_type == b"application/json" or _MEDIA_TYPE.match(self.content_type) is not None


class Directives(Struct, frozen=True, gc=False):
    """What a request asks of the mock: to be refused with a status, how it said so, or a fault on its answer."""

    force: int | None = None
    applied: str = ""
    fault: Fault | None = None


NO_DIRECTIVES: Final = Directives()


def read_directives(head: Head, query: bytes, *, stream: bool, can_cut: bool) -> Directives | Refusal:
    """The directives of the headers and of the query string; unknown preferences are ignored, as RFC 7240 says.

    ``stream`` and ``can_cut`` say what the call asks for, and whether its connection can be cut.
    """
    if not (head.prefer or head.faults or query):
        return NO_DIRECTIVES
    codes: list[tuple[str, str]] = []
    faults = [value.decode("latin-1").strip() for value in head.faults]
    for preference in _PREFERENCE.findall(head.prefer.decode("latin-1")):
        if match := _CODE.match(preference):
            codes.append(("Prefer: code", (match[1] or "").strip('"')))
            break  # of a preference that is repeated the first counts
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name == "__code":
            codes.append(("?__code", value))
        elif name == "__fault":
            faults.append(value)
        elif name.startswith("__"):
            return bad_directive(f"unknown query directive {name!r}; allowed are __code and __fault")
    if len({value for _, value in codes}) > 1:
        return bad_directive("Prefer: code and ?__code contradict each other")
    if len(set(faults)) > 1:
        return bad_directive("the faults of X-Mock-Fault and ?__fault contradict each other")
    if codes and faults:
        return bad_directive("a forced code and a fault contradict each other: a refused call has no answer to strike")
    if faults:
        return _read_fault(faults[0], stream=stream, can_cut=can_cut)
    return _read_code(*codes[0]) if codes else NO_DIRECTIVES


def _read_code(source: str, value: str) -> Directives | Refusal:
    if value not in _FORCIBLE:
        return bad_directive(f"{source} must be one of {', '.join(_FORCIBLE)}, not {value[:40]!r}")
    return Directives(_FORCIBLE[value], f"code={value}" if source.startswith("Prefer") else "")


def _read_fault(text: str, *, stream: bool, can_cut: bool) -> Directives | Refusal:
    try:
        fault = parse_fault(text)
    except FaultError as error:
        return bad_directive(str(error))
    why = check_fits(fault, stream=stream, can_cut=can_cut)
    return Directives(fault=fault) if why is None else bad_directive(why)


def read_test_id(value: bytes) -> str | Refusal:
    """The test id of ``X-Mock-Test``."""
    if _TEST_ID.fullmatch(value) is None:
        return bad_directive(f"X-Mock-Test must be 1 to {MAX_TEST_ID} visible ASCII characters")
    return value.decode("latin-1")


def bad_directive(reason: str) -> Refusal:
    """A directive that cannot be understood or is impossible."""
    return Refusal(INVALID_MOCK_DIRECTIVE, f"{INVALID_MOCK_DIRECTIVE.message}: {reason}")
