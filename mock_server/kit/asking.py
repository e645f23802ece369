"""Asks a running mock's control plane. Whatever is wrong with the target is one clear line."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPException
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, TypeVar
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import msgspec
from msgspec import Struct

from mock_server.contract.messages import ErrorResponse
from mock_server.kit.options import UnusableError

ANSWERS_WITHIN_S: Final = 30.0
"""For the whole answer, however slowly it comes."""
_MOST_BYTES: Final = 64 * 1024 * 1024

S = TypeVar("S", bound=Struct)


def ask(target: str, path: str, wanted: type[S], query: Mapping[str, str], *, token: str | None, test: str = "") -> S:
    """What ``GET /__mock__/<path>`` of the mock at ``target`` says. Raises :class:`UnusableError`."""
    url = f"{base_of(target)}/__mock__/{path}" + (f"?{urlencode(query)}" if query else "")
    for option, value in (("--test", test), ("--admin-token", token or "")):
        if not (value.isascii() and value.isprintable()):
            raise UnusableError(f"{option} must be visible ASCII characters")
    headers = {"Accept": "application/json"} | ({"X-Mock-Test": test} if test else {})
    if token:
        headers["X-Mock-Admin-Token"] = token
    body = _in_time(url, headers, target, path)
    try:
        return msgspec.json.decode(body, type=wanted)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise UnusableError(f"{target} is not this mock, or of another version: {_not_ours(path)}") from None


def base_of(target: str) -> str:
    """The address of the mock without what follows host and port. Raises :class:`UnusableError`."""
    try:
        parts = urlsplit(target)
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        port_is_one = False
    if not port_is_one or parts.scheme not in ("http", "https") or not parts.hostname or not target.isprintable():
        raise UnusableError(f"--target {target[:100]!r} is no address; give one such as http://127.0.0.1:8080")
    if parts.username is not None or parts.query or parts.fragment or parts.path.strip("/"):
        raise UnusableError(f"--target: give scheme, host and port alone, as {parts.scheme}://{parts.netloc[-100:]}")
    return urlunsplit((parts.scheme, parts.netloc, "", "", ""))


class _NoRedirects(HTTPRedirectHandler):
    """A mock redirects nobody, and the token is for nobody else."""

    def redirect_request(self, *_: object) -> None:
        """Refuse; it is then an answer like any other error."""


def _in_time(url: str, headers: Mapping[str, str], target: str, path: str) -> bytes:
    """Fetch in a thread that can be left behind: a time-out of the socket's is one of each single read."""
    come = SimpleQueue[bytes | Exception]()

    def fetch() -> None:
        try:
            come.put(_fetch(url, headers, target, path))
        except Exception as error:
            come.put(error)

    Thread(target=fetch, daemon=True).start()
    try:
        found = come.get(timeout=ANSWERS_WITHIN_S)
    except Empty:
        raise UnusableError(f"{target} has not answered within {ANSWERS_WITHIN_S:g} s; is it this mock?") from None
    if isinstance(found, Exception):
        raise found
    return found


def _fetch(url: str, headers: Mapping[str, str], target: str, path: str) -> bytes:
    # Proxies are for other machines; urllib would ask them for this one too.
    here = _is_loopback(urlsplit(url).hostname or "")
    opener = build_opener(_NoRedirects, *([ProxyHandler({})] if here else []))
    try:
        with opener.open(Request(url, headers=dict(headers)), timeout=ANSWERS_WITHIN_S) as answer:  # noqa: S310
            body: bytes = answer.read(_MOST_BYTES + 1)
    except HTTPError as error:
        with error:
            raise UnusableError(_refused(error, target, path)) from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        said = getattr(reason, "strerror", None) or str(reason) or type(error).__name__
        raise UnusableError(f"nothing to talk to at {target}: {said.lower()}; is the mock running there?") from None
    if len(body) > _MOST_BYTES:
        raise UnusableError(f"{target} is not this mock: {_not_ours(path)}")
    return body


def _refused(error: HTTPError, target: str, path: str) -> str:
    if 300 <= error.code < 400:
        return (
            f"{target} redirects ({error.code}), which is not followed, so that the token goes nowhere else; "
            "give the mock's own address"
        )
    try:
        message = msgspec.json.decode(error.read(_MOST_BYTES), type=ErrorResponse).error.message
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError, HTTPException):
        return f"{target} is not this mock: {_not_ours(path)} is answered with {error.code}"
    if error.code == 401:
        return f"{target} wants its admin token; give --admin-token, or $MOCK_ADMIN_TOKEN"
    if error.code == 404:
        return f"{target} is not this mock, or of another version: {_not_ours(path)} is answered with 404"
    return f"{target} refuses: {message}"


def _not_ours(path: str) -> str:
    return f"GET /__mock__/{path}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
