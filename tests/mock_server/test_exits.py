from __future__ import annotations

from pathlib import Path

import pytest

from mock_server.exits import Exit, complain, guarded


def broken() -> int:
    raise ZeroDivisionError("a gate\nwith lines")


def test_what_a_command_returns_is_its_exit_code() -> None:
    assert guarded("some-command", lambda: 4) == Exit.UNDECIDED


def test_an_unforeseen_error_is_one_line_and_a_file_and_no_failed_gate(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded("some-command", broken) == 70
    said = capsys.readouterr().err
    assert said.startswith("some-command: an error of its own, not yours (ZeroDivisionError: a gate); please report")
    assert said.count("\n") == 1
    kept = Path(said.rpartition(" ")[2].strip())
    assert "raise ZeroDivisionError" in kept.read_text()
    kept.unlink()


def test_an_error_that_cannot_be_written_down_is_told_all_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere/at/all")
    assert guarded("some-command", broken) == 70
    assert "could not be written (No such file or directory)" in capsys.readouterr().err


def test_an_interrupt_is_nobodys_error() -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guarded("some-command", interrupted)


def test_a_complaint_is_one_line_that_no_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    complain("some-command", "a\x1b[31m\u202e\udc80.toml: not\nthere, 没有")
    assert capsys.readouterr().err == "some-command: a\ufffd[31m\ufffd\ufffd.toml: not there, 没有\n"
