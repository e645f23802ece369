"""The documentation page as the mock serves it; run as a module, it prints the page for `docs/api.html`."""

from __future__ import annotations

import gc
import sys
from functools import cache
from importlib.resources import files

from mock_server.contract import page
from mock_server.contract.docs import Assets, docs_page


@cache
def documentation() -> bytes:
    """The page, built when it is first asked for: a mock that only answers calls never pays for it."""
    folder = files(page)
    return docs_page(
        Assets((folder / "page.css").read_text("utf-8"), (folder / "page.js").read_text("utf-8")),
    )


if __name__ == "__main__":
    sys.stdout.buffer.write(documentation())
    gc.freeze()  # msgspec issue 717: collecting its types as the interpreter ends may crash
