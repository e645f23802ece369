"""What is asked has one form in bytes, however it is spelled, and no other request has the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mock_server.contract.messages import ChatRequest
from mock_server.contract.reading import read_request
from mock_server.core.canonical import canonical

Json = dict[str, Any]
LONG = "A sentence of forty characters or so. 一句话。\n" * 40


def read(document: Json, **spelling: Any) -> ChatRequest:
    request = read_request(json.dumps(document, **spelling).encode())
    assert isinstance(request, ChatRequest), request.message
    return request


texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip),
    st.builds(lambda unit, times: unit * times, st.sampled_from(["word ", "写一个", "é", "1"]), st.integers(100, 600)),
)
parts = st.lists(st.builds(lambda text: {"type": "text", "text": text}, texts), min_size=1, max_size=3)
messages = st.lists(
    st.one_of(
        st.builds(
            lambda role, content: {"role": role, "content": content},
            st.sampled_from(["system", "user", "assistant", "developer", "tool"]),
            st.one_of(texts, parts),
        ),
        st.just({"role": "assistant", "content": None}),
    ),
    max_size=3,
)
DEFAULTS: Json = {"mode": "auto", "models": [], "exclude_models": [], "allow_fallbacks": True, "max_attempts": 3}
NO_POLICY: Json = {"only": [], "ignore": [], "order": []}
strategies = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.sampled_from(["auto", "cost"]),
        "models": st.sampled_from([[], ["a*"], ["a*", "b"]]),
        "providers": st.fixed_dictionaries(
            {}, optional={"only": st.sampled_from([[], ["a"]]), "order": st.just(["b"])}
        ),
        "max_latency_ms": st.sampled_from([100, 100.0, 200]),
        "allow_fallbacks": st.booleans(),
    },
)
requests = st.builds(
    lambda talk, strategy, limit: {
        "messages": [*talk, {"role": "user", "content": "x"}],
        "strategy": strategy,
        **({"max_tokens": limit} if limit else {}),
    },
    messages,
    strategies,
    st.sampled_from([0, 1, 500]),
)


def meaning(document: Json) -> Json:
    """The document with all its defaults."""
    strategy = DEFAULTS | document["strategy"]
    strategy["providers"] = NO_POLICY | strategy.get("providers", {})
    return document | {"strategy": strategy}


def backwards(document: Any) -> Any:
    """The document with the keys of every object in the opposite order."""
    if isinstance(document, dict):
        return {key: backwards(document[key]) for key in reversed(document)}
    return [backwards(each) for each in document] if isinstance(document, list) else document


@given(requests, st.booleans(), st.sampled_from([None, 2]))
def test_spelling_does_not_change_what_is_asked(document: Json, escaped: bool, indent: int | None) -> None:
    wanted = canonical(read(document))
    assert canonical(read(backwards(document), ensure_ascii=escaped, indent=indent)) == wanted
    assert canonical(read(meaning(document) | {"stream": True, "unknown": "写"}, ensure_ascii=escaped)) == wanted


@given(requests, requests)
def test_another_meaning_is_asked_in_other_bytes(one: Json, other: Json) -> None:
    assume(meaning(one) != meaning(other))
    assert canonical(read(one)) != canonical(read(other))


@pytest.mark.parametrize("long", [LONG, LONG.encode("ascii", "replace").decode()])
def test_a_change_anywhere_in_a_long_text_is_another_call(long: str) -> None:
    def asked(*contents: Any) -> bytes:
        return canonical(read({"messages": [{"role": "user", "content": content} for content in contents]}))

    changed = [long[:at] + "#" + long[at + 1 :] for at in range(0, len(long), 101)]
    part = {"type": "text", "text": long}
    digest = json.loads(asked(long))[0][0][1][0]  # what stands for the text must not be taken for a text
    others: list[list[Any]] = [
        [long],
        [long, "x"],
        [long + "x"],
        [[part]],
        [[part, part]],
        [digest],
        [f'["{digest}"]'],
        [long, long],
    ]
    found = {asked(*contents) for contents in others} | {asked(text) for text in changed}
    assert len(found) == len(others) + len(changed)
