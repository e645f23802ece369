"""The standard plan, and plans of one's own."""

from __future__ import annotations

import pytest

from mock_server.__main__ import main
from mock_server.config import load_world
from mock_server.contract.errors import FORCED
from mock_server.core.faults import FRAMINGS, TABLE, parse_fault
from mock_server.core.rules import compile_rule
from mock_server.impossible import never_strikes
from mock_server.kit.check.plan import plan_toml, read_plan, standard_plan
from mock_server.kit.options import UnusableError


def test_the_standard_plan_has_every_error_fault_and_framing() -> None:
    cells = standard_plan()
    faults = [parse_fault(cell.fault) for cell in cells if cell.fault is not None]
    assert {cell.code for cell in cells} - {None} == set(FORCED)
    assert {fault.kind for fault in faults} - {None} == set(TABLE)
    assert {fault.framing for fault in faults} - {None} == set(FRAMINGS)
    assert len({cell.name for cell in cells}) == len(cells)
    assert 40 <= len(cells) <= 50


def test_every_cell_of_the_standard_plan_can_strike() -> None:
    world = load_world("instant")
    for cell in standard_plan():
        compile_rule(cell.rule)
        assert never_strikes(cell.rule, world, []) is None
        assert cell.fits(stream=True) or cell.fits(stream=False)


def test_the_plan_that_is_shown_can_be_given_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-client", "--show-plan"]) == 0
    shown = capsys.readouterr().out
    assert read_plan(shown, "shown.toml") == standard_plan()
    assert plan_toml(standard_plan()) == shown


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("[[cell]", "p.toml: not valid TOML"),
        ("", "p.toml: cell"),
        ("cell = []", "p.toml: cell"),
        ('[[cell]]\nname = "a"', "p.toml: cell[0] 'a': give either code or fault"),
        ('[[cell]]\nname = "a"\ncode = 500\ntimes = 0', "p.toml: cell[0].times"),
        ('[[cell]]\nname = "a"\ncode = 500\ntime = 1', "p.toml: cell[0].time"),
        ('[[cell]]\nname = "a"\ncode = 599', "p.toml: cell[0] 'a': code must be one of"),
        ('[[cell]]\nname = "a"\nfault = "rest"', "p.toml: cell[0] 'a': unknown fault kind 'rest'"),
        ('[[cell]]\nname = "a"\nfault = "empty"\nstream = true', "p.toml: cell[0] 'a': empty cannot strike a stream"),
        ('[[cell]]\nname = "a b"\ncode = 500', "p.toml: cell[0] 'a b': name: must be"),
        ('[[cell]]\nname = "healthy"\ncode = 500', "p.toml: cell[0] 'healthy': name:"),
        ('[[cell]]\nname = "a"\ncode = 500\n' * 2, "p.toml: cell[1] 'a': name: is given twice"),
    ],
)
def test_a_mistake_names_file_and_key(source: str, said: str) -> None:
    with pytest.raises(UnusableError) as caught:
        read_plan(source, "p.toml")
    assert str(caught.value).startswith(said)
