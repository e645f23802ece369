from __future__ import annotations

from benchmarks.fault_sweep import cases, is_clean, sweep, text
from mock_server.core.faults import TABLE


def test_after_all_faults_at_once_nothing_is_left_behind() -> None:
    found = sweep(repeats=3, concurrent=50)
    assert found["ended_wrong"] == {}
    assert (found["in_flight"], found["open_sockets"], found["reserved"], found["complaints"]) == (0, 0, 0, "")
    assert found["tokens_charged"] == found["tokens_seen"] > 0
    assert found["calls"] == 3 * found["cases"]
    assert is_clean(found)


def test_a_sweep_knows_every_fault_at_every_place() -> None:
    places = {(case.kind, case.fault.split("stage=")[1].split(";")[0], case.stream) for case in cases()}
    plain = {(kind, stage, False) for kind, row in TABLE.items() for stage in row.plain}
    assert places == plain | {(kind, stage, True) for kind, row in TABLE.items() for stage in row.stream}


def test_whatever_is_left_behind_is_told() -> None:
    clean = {"ended_wrong": {}, "in_flight": 0, "open_sockets": 0, "reserved": 0, "complaints": ""}
    tokens = {"tokens_seen": 5, "tokens_charged": 5, "calls": 1, "cases": 1, "seconds": 0.1, "machine": {}}
    assert is_clean(clean | tokens)
    for worse in (
        {"ended_wrong": {"reset": 1}},
        {"in_flight": 1},
        {"open_sockets": 1},
        {"reserved": 1},
        {"complaints": "Traceback"},
        {"tokens_charged": 6},
    ):
        found = clean | tokens | worse
        assert not is_clean(found)
        ((name, value),) = worse.items()
        assert str(next(iter(value)) if isinstance(value, dict) else value) in text(found), name
