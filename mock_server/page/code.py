"""Code blocks: light syntax colouring and a button that copies."""

from __future__ import annotations

import re
from typing import Final

from mock_server.page.elements import Html, join, tag, text

_NUMBER: Final = r"(?P<number>\b\d+(?:\.\d+)?\b)"
_STRING: Final = r"""(?P<string>"(?:[^"\\\n]|\\.)*"|'[^']*'|`[^`]*`)"""

_KEYWORDS: Final[dict[str, str]] = {
    "shell": "curl",
    "python": "import|with|as|for|in|if|not|continue|break|raise|True|False",
    "javascript": "import|from|const|let|await|for|of|if|throw|new|continue|break|true|false",
    "go": "package|import|func|var|struct|if|for|defer|continue|return|nil|string|byte",
    "json": "true|false|null",
    "events": "true|false|null|data",
}


def highlight(code: str, syntax: str) -> Html:
    """Escaped code with strings, numbers and keywords marked."""
    token = re.compile(rf"{_STRING}|(?P<keyword>\b(?:{_KEYWORDS[syntax]})\b)|{_NUMBER}")
    pieces: list[Html] = []
    end = 0
    for found in token.finditer(code):
        pieces.append(text(code[end : found.start()]))
        pieces.append(tag("span", found[0], class_=str(found.lastgroup)))
        end = found.end()
    return join(*pieces, text(code[end:]))


def code_block(title: str, code: str, syntax: str, note: str = "") -> Html:
    """A figure of code; its button is shown by the script that makes it work."""
    button = tag("button", "Copy", type="button", class_="copy", hidden=True, aria_label=f"Copy: {title}")
    caption = tag("figcaption", tag("span", title, class_="title"), note, button)
    body = tag("code", highlight(code.rstrip("\n"), syntax))
    return tag(
        "figure", caption, tag("pre", body, tabindex="0", aria_label=title, role="region"), class_=f"code {syntax}"
    )
