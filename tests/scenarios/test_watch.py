"""What is written down of the run's own mock while it is under load."""

from __future__ import annotations

import json
import threading
import urllib.error
from pathlib import Path
from typing import Any

import pytest

from scenarios.command import watch
from scenarios.command.watch import MockWatch
from scenarios.record.notes import Beat
from scenarios.record.spool import mock_path, read_notes


class Mock:
    """Has a beat more each time it is asked, the last of which ends beyond any end."""

    def __init__(self, last: int, **missing: Any) -> None:
        self._last = last
        self._document = missing
        self.asked: list[str] = []
        self.thrice = threading.Event()

    def control(self, what: str, body: bytes | None, timeout_s: float) -> bytes:
        assert (body, timeout_s) == (None, 5.0)
        self.asked.append(what)
        if len(self.asked) >= 3:
            self.thrice.set()
        if "error" in self._document:
            raise urllib.error.URLError(self._document["error"])
        numbers = range(int(what.removeprefix("load?after=")) + 1, min(len(self.asked), self._last) + 1)
        beats = [
            {
                "number": number,
                "from_s": number - 1,
                "at_s": float("9e9") if number == self._last else number,
                "cpu_s": 0.01,
                "wait_s": None,
                "lag_ms": [0.25, 0.5],
                "beyond": "this version",
            }
            for number in numbers
        ]
        return json.dumps({"in_flight": 4, "beats": beats, "saturated": False, **self._document}).encode()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_EVERY_S", 0.001)
    monkeypatch.setattr(watch, "_LAST_EVERY_S", 0.001)


def watched(mock: Any, folder: Path) -> list[Any]:
    with MockWatch(mock, folder):
        assert mock.thrice.wait(10)
    return list(read_notes(mock_path(folder)))


def test_each_beat_is_written_once_until_one_reaches_the_end(tmp_path: Path) -> None:
    mock = Mock(last=3)
    notes = watched(mock, tmp_path)
    assert notes[0] == Beat(0, 1, 0.01, None, (0.25, 0.5), 0, 0, 4)
    assert [beat.from_s for beat in notes] == [float(number) for number in range(3)]
    assert mock.asked[:3] == ["load?after=0", "load?after=1", "load?after=2"]
    assert mock.asked[-1] == "load?after=3"


@pytest.mark.parametrize("missing", [{"beats": []}, {"error": "gone"}, {"in_flight": "many"}])
def test_a_mock_that_tells_nothing_holds_nobody_up(tmp_path: Path, missing: dict[str, Any]) -> None:
    assert watched(Mock(last=9, **missing), tmp_path) == []
