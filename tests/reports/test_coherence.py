"""Records that contradict themselves or their plan: the cheapest lies, each found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.reports.conftest import assert_invalid, beats

Make = Callable[..., Any]
Spoil = Callable[[Any], object]
MOMENTS = ("sent_s", "first_byte_s", "end_s")


def stranger(builder: Any) -> None:
    builder.set(slice(400, 410), worker="w7")


def unread_stranger(builder: Any) -> None:
    builder.health = pd.concat([builder.health, beats("w7", 20.0)])


def relabelled(builder: Any) -> None:
    slow = builder.samples["end_s"] - builder.samples["planned_s"] > 1.2
    builder.set(slow, phase="warmup")


def half_the_window(builder: Any) -> None:
    builder.samples = builder.samples[builder.samples["planned_s"] < 27.5]
    builder.manifest["planned_calls"] = len(builder.samples)


def pressed_together(builder: Any) -> None:
    """All calls, planned in half the time; their latencies stay."""
    moved = (builder.samples["planned_s"] - 5).clip(lower=0) / 2
    builder.later(slice(None), -moved, ("planned_s", *MOMENTS))


def holes(builder: Any) -> None:
    builder.health = builder.health.drop(builder.health.index[(builder.health["worker"] == "w0")][100:104])


def half_read(builder: Any) -> None:
    builder.health = builder.health[(builder.health["worker"] != "w0") | (builder.health["at_s"] < 40)]


def fewer_ticks(builder: Any) -> None:
    """The freeze is one late reading instead of hundreds."""
    builder.beats("w0", stops=[(20.0, 3.0)])
    builder.health["lag_ms"] = [lag[:25] for lag in builder.health["lag_ms"]]


def padded_ticks(builder: Any) -> None:
    builder.beats("w0", stops=[(20.0, 3.0)])
    rows = builder.health["worker"] == "w0"
    builder.health["lag_ms"] = [
        np.append(lag, np.zeros(25 * padded)) for lag, padded in zip(builder.health["lag_ms"], rows, strict=True)
    ]


def twice_read(builder: Any) -> None:
    builder.health = pd.concat([builder.health, builder.health[builder.health["worker"] == "w0"].iloc[50:60]])


def closed(builder: Any, wait_s: float) -> Any:
    builder.manifest["load"] = {"kind": "closed", "users": 20}
    return builder.set(slice(None), planned_s=builder.samples["sent_s"], ready_s=builder.samples["sent_s"] - wait_s)


SPOILT: dict[str, tuple[Spoil, str, str]] = {
    "a worker that gave no reading": (
        lambda b: setattr(b, "health", b.health[b.health["worker"] != "w1"]),
        "workers",
        "worker w1: no health readings",
    ),
    "a worker nobody knows": (stranger, "workers", "samples of w7, which the manifest does not know"),
    "readings of nobody": (unread_stranger, "workers", "health readings of w7, which"),
    "two workers of one name": (
        lambda b: b.manifest["workers"].append({"worker": "w0", "pid": 9}),
        "workers",
        "two processes are called w0",
    ),
    "a worker called as the mock": (
        lambda b: b.manifest["workers"].append({"worker": "mock", "pid": 9}),
        "workers",
        "two processes are called mock",
    ),
    "a hole in the readings": (holes, "workers", "worker w0: no health readings for 1.0 s from 25.0 s on"),
    "readings of a part": (half_read, "workers", "worker w0: health readings for 34.8 s of"),
    "a freeze in one reading": (fewer_ticks, "workers", "readings of its loop's lag where"),
    "a freeze among added readings": (padded_ticks, "workers", "readings of its loop's lag where"),
    "readings twice": (twice_read, "workers", "worker w0: health readings overlap"),
    "negative readings": (lambda b: b.beats("w0", wait=-0.1), "workers", "hold negative times"),
    "sent four seconds early": (
        lambda b: b.later(slice(600, 699), -4.0),
        "moments",
        "tries that were sent before they were planned: 100 (the first is call 600, try 0)",
    ),
    "first byte before it was sent": (
        lambda b: b.later([700], -2.0, ("first_byte_s",)),
        "moments",
        "had a first byte before they were sent: 1",
    ),
    "ended before its first byte": (
        lambda b: b.set([700], first_byte_s=b.samples["end_s"] + 0.1),
        "moments",
        "ended before their first byte: 1",
    ),
    "ended after the run": (lambda b: b.set([700], end_s=53.5), "moments", "ended after the run did: 1"),
    "sent after the run": (
        lambda b: b.set([700], sent_s=60.0, first_byte_s=None, end_s=None, outcome="cut_off"),
        "moments",
        "were under way after the run's end: 1",
    ),
    "before the run": (
        lambda b: b.set([3], planned_s=-1.0),
        "moments",
        "lie before the run's start: 1",
    ),
    "sent before it was ready": (
        lambda b: b.set([700], ready_s=b.samples["sent_s"] + 1),
        "moments",
        "were sent before their client was ready: 1",
    ),
    "ok without an end": (lambda b: b.set([700], end_s=None), "moments", "are ok without the times of an answer: 1"),
    "ok by a 502": (lambda b: b.set([700], status=502), "moments", "are ok by another status than 2xx: 1"),
    "never sent, and sent": (
        lambda b: b.fail([700], "never_sent").set([700], sent_s=b.samples["planned_s"]),
        "moments",
        "are never_sent and were sent: 1",
    ),
    "answered before it was sent": (
        lambda b: b.fail([700], "timeout").set([700], sent_s=None),
        "moments",
        "were never sent and were answered: 1",
    ),
    "ok after its client gave up": (
        lambda b: b.set([700], end_s=b.samples["end_s"] + 9).manifest.update(timeout_s=3.0),
        "moments",
        "are ok long after the timeout of 3 s: 1",
    ),
    "a negative count": (lambda b: b.set([700], chunks=-1), "moments", "hold a negative chunks: 1"),
    "another scenario": (
        lambda b: b.set([700], scenario="smoke"),
        "workers",
        "samples of scenario smoke, not of steady",
    ),
    "a negative gap": (lambda b: b.set([700], max_gap_s=-1.0), "moments", "hold a negative max_gap_s: 1"),
    "slow rows relabelled": (relabelled, "plan", "tries in another phase than their planned moment:"),
    "half the window": (half_the_window, "plan", "900 calls were planned for the window, 450 are recorded"),
    "the window pressed together": (pressed_together, "plan", "nothing was planned for 22.5 s in a row"),
    "another rate": (
        lambda b: b.manifest["load"].update(rate_per_s=25.0),
        "plan",
        "1,125 calls were planned",
    ),
    "less warm-up": (
        lambda b: b.manifest.update(warmup_s=4.0),
        "plan",
        "80 calls were planned for the warm-up",
    ),
    "a call after the window": (
        lambda b: b.later([999], 1.0, ("planned_s", *MOMENTS)),
        "plan",
        "calls planned after the window's end at 50 s: 1",
    ),
    "a closed load cut short": (
        lambda b: closed(b, 0.0).manifest.update(duration_s=90.0),
        "plan",
        "the run ended at 53 s, before its window did at 95 s",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_record_that_contradicts_itself_is_invalid_and_says_where(make_run: Make, name: str) -> None:
    assert_invalid(make_run(), *SPOILT[name])
