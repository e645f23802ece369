"""The Locust player in a process of its own, without the command around it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from scenarios.model.load import Closed, Open
from scenarios.record.plan import PLAN, save
from tests.scenarios.ledgers import plan_of

ROOT = Path(__file__).resolve().parents[2]
# Plays a plan to its end, then tells what the collector finds, and the outcomes.
_PLAY = """
import gc, json, os, sys, time
from pathlib import Path
from locust import User
import gevent, msgspec
from scenarios.players.locust.player import LocustPlayer
from scenarios.players.locust.users import without_collector
from scenarios.record.notes import Row
from scenarios.record.plan import Origin, load_plan
from scenarios.record.spool import part_path, read_notes

folder, users = Path(sys.argv[1]), int(sys.argv[2])
plan, over = load_plan(folder), gevent.event.Event()
player = LocustPlayer(plan, folder, 0, 1, "sk-test", on_try=None, on_done=lambda player: over.set())
without_collector()
player.start(Origin(time.monotonic(), time.time()))
for _ in range(users):
    gevent.spawn(player.live_as_user)
over.wait()
player.finish()
del player
gevent.sleep(0)
rows = [note for note in read_notes(part_path(folder, 0, 1)) if isinstance(note, Row)]
told = [row.outcome for row in rows]
gc.set_debug(gc.DEBUG_SAVEALL)
before = gc.collect()
kinds = sorted({type(one).__name__ for one in gc.garbage})
print(json.dumps({"outcomes": told, "collected": before, "kinds": kinds, "ids": [row.call_id for row in rows]}))
"""


def play(folder: Path, users: int = 0) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", _PLAY, str(folder), str(users)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=120,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("kind", ["open", "closed"])
def test_a_thousand_exchanges_leave_nothing_to_the_collector(gateway: Any, tmp_path: Path, kind: str) -> None:
    gateway.modes = ["ok"] * 6 + ["reset", "close", "garbage", "not_http", "truncated_stream", "denied", "hang"]
    load, duration_s = (Open(rate_per_s=1000.0), 1.0) if kind == "open" else (Closed(users=40), 2.0)
    how = {"load": load, "duration_s": duration_s, "timeout_s": 0.3, "drain_s": 30.0, "max_in_flight": 2000}
    save(tmp_path, PLAN, plan_of(kind, target=gateway.url, **how))
    found = play(tmp_path, 40)
    counts = Counter(found["outcomes"])
    assert counts.keys() >= {"ok", "refused", "malformed", "timeout", "connection", "stream_broken"}
    assert counts.total() == 1000 or (kind == "closed" and counts.total() > 50)
    assert len(set(found["ids"])) == len(found["ids"])
    assert (found["collected"], found["kinds"]) == (0, [])
