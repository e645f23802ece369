"""The command ``load-test``: imports nothing before it can be interrupted quietly."""

from __future__ import annotations

import sys


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        from scenarios.command.cli import command  # takes long enough for a Ctrl-C

        return command(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        return 130  # Exit.INTERRUPTED, which may not have been imported yet


if __name__ == "__main__":
    sys.exit(main())
