"""The documentation page as the mock serves it; run as a module, it prints the page for `docs/api.html`."""

from __future__ import annotations

import sys
from functools import cache
from importlib.resources import files
from typing import Final

from mock_server.contract import page
from mock_server.contract.docs import Assets, docs_page
from mock_server.contract.page.reference import Words
from mock_server.core.faults import FRAMING_MEANINGS, STAGE_MEANINGS, STAGES, TABLE, Stage


def _stages(stages: tuple[Stage, ...]) -> str:
    if stages == STAGES:
        return "any stage"
    return ", ".join(f"`{stage}`" for stage in stages) or "never"


FAULT_WORDS: Final = (
    Words(
        "Kinds of fault for X-Mock-Fault, and where they can strike",
        ("Kind", "What happens", "In a plain answer", "In a stream"),
        tuple((kind, row.meaning, _stages(row.plain), _stages(row.stream)) for kind, row in TABLE.items()),
    ),
    Words("Stages at which a fault strikes", ("Stage", "When"), tuple(STAGE_MEANINGS.items())),
    Words("Framings: unusual, but no failure", ("Framing", "What is unusual"), tuple(FRAMING_MEANINGS.items())),
)


@cache
def documentation() -> bytes:
    """The page, built when it is first asked for: a mock that only answers calls never pays for it."""
    folder = files(page)
    assets = Assets((folder / "page.css").read_text("utf-8"), (folder / "page.js").read_text("utf-8"))
    return docs_page(assets, FAULT_WORDS)


if __name__ == "__main__":
    sys.stdout.buffer.write(documentation())
