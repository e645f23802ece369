"""Garbage at the control plane, while calls are in flight."""

from __future__ import annotations

import random
import threading

from mock_server.http.control.table import OPERATIONS
from tests.mock_server.control.conftest import Plane
from tests.mock_server.wire import chat, events, text_of

BODIES: list[object] = [
    b"", b"{", b"null", b"[]", b"\xff\xfe", b"[" * 50_000, b'{"a":' * 50_000, b"0" * 10_000, b'"\\ud800"', {},
    {"fault": "x" * 100_000}, {"code": 10**40}, {"match": {"key": None}}, {"replies": [{}]}, {"advance": -1},
    {"freeze": None}, {"for": 1e308, "kind": "outage"}, {"balance": []}, {"\n": "\x00"}, b"x" * 5_000_000,
]  # fmt: skip
QUERIES = ["", "?limit=-1", "?%ff=%00", "?=", "?" + "a" * 5_000, "?count=1e9&timeout=x", "?test=%F0%9F%98%80"]


def test_garbage_disturbs_no_call_in_flight(slow_plane: Plane) -> None:
    mock, streams = slow_plane.mock, list[bytes]()
    body = chat(strategy={"models": ["slow/steady"]}, max_tokens=10, stream=True)
    wanted = text_of(events(mock.call(body, test="before").content)[0])
    tests = [f"stream {n}".replace(" ", "-") for n in range(10)]
    threads = [threading.Thread(target=lambda t=t: streams.append(mock.call(body, test=t).content)) for t in tests]
    for thread in threads:
        thread.start()
    dice = random.Random(7)  # noqa: S311 - the same garbage every time
    statuses = set()
    while any(thread.is_alive() for thread in threads):
        endpoint = dice.choice([e for e in OPERATIONS if "reset" not in e.path])
        path = endpoint.path.replace("{name:path}", "%00/../x").replace("{key}", "密").lstrip("/")
        garbage = dice.choice(BODIES if endpoint.body is not None else [None])
        answer = slow_plane.ask(endpoint.method, path + dice.choice(QUERIES), garbage)
        statuses.add(answer.status_code)
        assert answer.status_code < 500
    for thread in threads:
        thread.join()
    assert {400, 404} <= statuses
    assert len(streams) == len(tests)
    for stream in streams:
        found, _ = events(stream)
        assert found[-1]["usage"]["completion_tokens"] == 10
        assert len(text_of(found)) > 0 < len(wanted)
    assert slow_plane.get("ledger")["balanced"]
