"""Prints the documentation page: `python -m mock_server.page > docs/api.html` (`make docs`)."""

from __future__ import annotations

import sys

from mock_server.page.document import documentation

if __name__ == "__main__":
    sys.stdout.buffer.write(documentation())
