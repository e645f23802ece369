"""Words on stdout, which may be a pipe that nobody reads on, or a full disk; neither may end a run."""

from __future__ import annotations

import os
import sys

from mock_server.exits import Exit, complain


def put(text: str, end: str = "\n") -> int:
    """Write to stdout, at once; the exit code of a command that had no more to do than that.

    It is 0, 141 when nobody reads on, or 2 after a line on stderr when it cannot be written. After a failure
    stdout leads nowhere, so that what is put later is lost in silence.
    """
    try:
        sys.stdout.write(f"{text}{end}")
        sys.stdout.flush()
    except BrokenPipeError:
        _mute()
        return Exit.UNREAD
    except OSError as error:
        _mute()
        complain("load-test", f"cannot write to stdout: {error.strerror}")
        return Exit.UNUSABLE
    return Exit.PASSED


def _mute() -> None:
    # The interpreter flushes what is left when it ends, and would fail again.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
