"""Whether a journal can say anything good of a client at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mock_server.contract.endpoints import LLM_AUTO
from mock_server.contract.errors import (
    INVALID_API_KEY,
    INVALID_REQUEST,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    PAYLOAD_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
)
from mock_server.edge.journal import Entry

_FOR_ITS_FORM: Final = frozenset(
    kind.code for kind in (INVALID_REQUEST, INVALID_API_KEY, UNSUPPORTED_MEDIA_TYPE, PAYLOAD_TOO_LARGE)
)


def was_asked(entry: Entry) -> bool:
    """Whether a request was for the API at all, or forced to look as if it were not."""
    return entry.struck or entry.code not in (NOT_FOUND.code, METHOD_NOT_ALLOWED.code)


def unfit(entries: Sequence[Entry]) -> str:
    """Why the journal says nothing good of a client; empty where it may."""
    if not entries:
        return "the journal is empty: did the client talk to this mock, and under this test id?"
    asked = [entry for entry in entries if was_asked(entry)]
    if not asked:
        return f"no request was a {LLM_AUTO.method} of {LLM_AUTO.path}: is the client's base URL right?"
    if all(entry.code == INVALID_API_KEY.code and not entry.struck for entry in asked):
        return "every request was refused with 401: has the client a key of this mock?"
    if all(entry.code in _FOR_ITS_FORM and not entry.struck for entry in asked):
        return f"every request was refused for its form, as with {asked[0].status}: has the client ever asked rightly?"
    return ""
