"""What the throughput benchmark sends: prompts of several lengths in two languages, streams and a refusal.

Every request of a case is another one, told apart by a number in its prompt, so that nothing the mock remembers
flatters it; only `8 KB again` sends the same over and over, as a client that repeats a long prompt does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from faker import Faker

from benchmarks.harness import call_body

NUMBER: Final = "0000000000"
"""What a request's own number takes the place of."""


@dataclass(frozen=True)
class Case:
    """One kind of call. ``prompt_bytes`` are those of its UTF-8; where there are none, it is the sentence ``asked``."""

    name: str
    prompt_bytes: int = 0
    locale: str = "en_US"
    stream: bool = False
    refused: bool = False
    again: bool = False
    asked: str = "Write one sentence about the weather in spring."
    max_tokens: int = 24

    def body(self) -> bytes:
        """The request's body, with `NUMBER` in it."""
        prompt = f"{NUMBER} {self.asked}"
        if self.prompt_bytes:
            prompt = f"{NUMBER} {_text(self.locale, self.prompt_bytes - len(NUMBER) - 1)}"
        fields: dict[str, Any] = {"stream": True} if self.stream else {}
        if self.refused:
            fields["strategy"] = {"providers": {"only": ["nobody"]}}
        return call_body(prompt, max_tokens=self.max_tokens, **fields)


@cache
def _source(locale: str) -> str:
    faker = Faker(locale)
    faker.seed_instance(0)
    return " ".join(faker.text(400) for _ in range(200))


def _text(locale: str, size: int) -> str:
    """The beginning of a text, of `size` bytes or up to two fewer."""
    return _source(locale).encode()[:size].decode(errors="ignore")


CASES: Final = {
    case.name: case
    for case in (
        Case("short"),
        Case("2 KB", 2 * 1024),
        Case("8 KB", 8 * 1024),
        Case("32 KB", 32 * 1024),
        Case("8 KB again", 8 * 1024, again=True),
        Case("8 KB Chinese", 8 * 1024, "zh_CN"),
        Case("32 KB Chinese", 32 * 1024, "zh_CN"),
        Case("stream", stream=True),
        Case("long stream", stream=True, asked="Prove that the square root of two is irrational.", max_tokens=1_000),
        Case("refusal", refused=True),
    )
}
