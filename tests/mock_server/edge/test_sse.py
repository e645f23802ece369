from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from mock_server.edge import sse
from tests.mock_server.wire import data_of

# What a rendering in one go could mistake for its own: quotes, commas, line ends, and the text around a piece.
TRICKY = st.sampled_from(['"', '",', '","', "\\", "\\n", "\n", "\r\n\n", "\u2028", '","done":false}', "🙂", "今天", ""])
TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=8) | TRICKY | st.builds(str.__add__, TRICKY, TRICKY))


@given(TEXTS)
def test_pieces_rendered_in_one_go_are_those_rendered_one_by_one(texts: list[str]) -> None:
    assert sse.pieces(texts) == b"".join(map(sse.piece, texts))


def test_a_piece_is_an_event_with_its_text() -> None:
    (document,) = data_of(sse.piece('say "今天"\n'))
    assert json.loads(document) == {"response": 'say "今天"\n', "done": False}
