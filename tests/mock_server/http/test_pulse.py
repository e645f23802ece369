"""The mock's pulse: in numbers, and of a real process that is stopped for a while."""

from __future__ import annotations

import signal
import time
from itertools import accumulate, pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.http.pulse import BEAT_TICKS, KEPT_S, TICK_S, Pulse
from tests.mock_server.conftest import StartMock
from tests.mock_server.wire import Mock, eventually

START = 1000.0


def drive(moments: list[float]) -> Pulse:
    """A pulse that got to look at the clock at these moments."""
    pulse = Pulse(START)
    for moment in moments:
        pulse.tick(START + moment)
    pulse.close()
    return pulse


@given(st.lists(st.floats(0.0001, 2.0), min_size=1, max_size=60))
def test_every_tick_is_read_once_however_late_and_beats_leave_no_gap(steps: list[float]) -> None:
    pulse = drive(list(accumulate(steps)))
    beats = pulse.beats(0)
    assert [beat.number for beat in beats] == list(range(beats[0].number, beats[-1].number + 1)) if beats else True
    assert all(before.at_s == after.from_s for before, after in pairwise(beats))
    for beat in beats:
        assert len(beat.lag_ms) >= BEAT_TICKS
        assert abs(len(beat.lag_ms) - (beat.at_s - beat.from_s) / TICK_S) < 1.5
        assert min(beat.lag_ms) >= 0
        assert beat.cpu_s >= 0


def test_a_pause_of_three_seconds_is_three_hundred_late_ticks() -> None:
    (beat,) = drive([3.0]).beats(0)
    assert beat.lag_ms == pytest.approx([3000 - 10 * tick for tick in range(1, 301)], abs=0.01)


def test_beats_older_than_a_minute_are_forgotten_and_those_known_are_not_told_again() -> None:
    pulse = drive([0.25 * beat + 0.001 for beat in range(1, 400)])
    kept = pulse.beats(0)
    assert kept[-1].number == 399
    assert kept[0].at_s >= kept[-1].at_s - KEPT_S
    assert len(kept) == 241
    assert [beat.number for beat in pulse.beats(397)] == [398, 399]
    assert pulse.beats(399) == []


def beats_of(mock: Mock, after: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = mock.control("load", after=after)["beats"]
    return found


def test_a_stopped_process_says_afterwards_how_long_it_stood_still(start_mock: StartMock) -> None:
    mock = start_mock("--world", "instant")
    eventually(lambda: len(beats_of(mock, 0)) >= 2)
    known = beats_of(mock, 0)[-1]["number"]
    began = time.monotonic()
    mock.launched.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(httpx.ReadTimeout):
            mock.http.get("/__mock__/health", timeout=0.6)
    finally:
        mock.launched.send_signal(signal.SIGCONT)
    ended = time.monotonic()
    eventually(lambda: len(beats_of(mock, known)) >= 3 and beats_of(mock, known)[-1]["from_s"] > ended)
    beats = beats_of(mock, known)
    assert [beat["number"] for beat in beats] == list(range(known + 1, known + 1 + len(beats)))
    late = [lag for beat in beats for lag in beat["lag_ms"] if lag > 100]
    assert len(late) >= 48  # of the 60 ticks it stood still for at least; in the last ten it is less late than that
    assert max(late) >= 580
    still = next(beat for beat in beats if max(beat["lag_ms"]) >= 580)
    assert still["from_s"] < began + 0.1 < ended - 0.1 < still["at_s"]  # this process has the same clock
    assert still["cpu_s"] < 0.6


def test_beats_are_given_only_when_asked_for(mock: Mock) -> None:
    assert mock.control("load")["beats"] == []
    eventually(lambda: len(beats_of(mock, -1)) >= 1)
