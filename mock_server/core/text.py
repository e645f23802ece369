"""What simulated models answer: plausible text of an exact number of tokens, cut from a corpus built once.

The corpus is made of Faker's words in sentences and functions of our own. It is a ring of *pieces* (a word, or
one to two Chinese characters, with the punctuation and white space after it) whose edges no class of
`mock_server.contract.tokens` crosses. So prices add, and with their prefix sums an answer of any length is one
bisection and one slice.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, compress, cycle
from keyword import iskeyword
from random import Random
from typing import Final, Literal

import msgspec
from faker import Faker
from msgspec.structs import replace

from mock_server.contract import tokens as count

Language = Literal["en", "zh"]

SENTENCES: Final = 1_000
FUNCTIONS: Final = 160
WHOLE_FROM: Final = 16
"""Answers of fewer tokens are the first words of one; longer ones end like a sentence."""
FENCED_FROM: Final = 24
"""Answers of fewer tokens are bare code; a fence alone takes six."""

_LOCALES: Final[dict[Language, str]] = {"en": "en_US", "zh": "zh_CN"}

# Sentences begin with a word of one token, so that an answer of one token can begin anywhere.
_SENTENCES: Final[dict[Language, Sequence[str]]] = {
    "en": (
        "The {a} {n} can {v} the {n}, and the {n} will {v} it.",
        "In the {a} {n}, most people {v} one {n} before they {v} another.",
        "If the {n} and the {n} {v}, then every {n} must {v} too.",
        "You may {v} the {n} first; the {a} {n} comes later.",
        "This {n} tends to {v}, so it is best to {v} each {n} with some {n}.",
        "There is little {n} in the {n}, yet it helps to {v} a few of them.",
        "As a rule, {n} and {n} {v} together.",
        "When they {v} the {n}, keep the {a} {n} in view.",
        "It should {v} no more than the {n}.",
        "Some {a} {n} would {v} here, but that {n} does not.",
    ),
    "zh": (
        "我们可以通过{n}来{v}{n}，这样{n}会更加{a}。",
        "在{n}方面，{a}的{n}能够帮助用户{v}{n}。",
        "如果需要{v}{n}，应该先{v}相关的{n}。",
        "这个{n}主要用于{v}{n}，也支持{v}{n}和{n}。",
        "目前，{n}与{n}的关系非常{a}。",
        "为了更好地{v}{n}，建议大家关注{n}的{n}。",
        "同时，{n}提供了{a}的{n}，使{n}得到不断{v}。",
        "虽然{n}不同，但是{v}{n}的方法基本一样。",
        "通过{v}和{v}，{n}已经成为{a}的{n}。",
        "最后，请根据{n}的情况{v}自己的{n}。",
    ),
}

# No whole answer ends on one of these.
_DANGLING: Final = frozenset(
    re.findall(
        r"\w+",
        "a an and as before but can comes does each every few here if in is it keep little may more most must no"
        " not of one or should so some tends than that the then there they this to when will with would yet you",
    )
)

# Which of Faker's Chinese words can stand where; it does not say.
_CHINESE: Final[dict[str, str]] = {
    "n": "时间 公司 信息 软件 产品 工作 论坛 企业 问题 内容 市场 服务 系统 技术 文章 方式 电话 国家 生活 主题 中心"
    " 世界 游戏 价格 用户 地址 网站 情况 活动 手机 文件 图片 经济 功能 环境 日期 人员 教育 资料 社会 音乐 电影 资源"
    " 新闻 大学 项目 单位 广告 方法 地方 能力 电脑 设备 标准 学校 作品 科技 行业 工程 程序 部门 数据 商品 文化 法律"
    " 城市 责任 业务 语言 社区 品牌 工具 质量 类型 汽车 历史 密码 计划 报告 客户 空间 结果 经验",
    "v": "管理 使用 发展 提供 支持 联系 设计 推荐 发现 评论 生产 选择 介绍 建设 阅读 学习 开发 研究 更新 显示 查看 搜索"
    " 销售 组织 说明 提高 解决 操作 处理 比较 分析 控制 实现 制作 浏览 完成 增加 应用 准备",
    "a": "重要 详细 安全 专业 特别 不同",
}

_FUNCTIONS: Final = (
    "def {v}_{n}({x}, {y}):\n    # {s}\n    {z} = []\n    for {i} in {x}:\n        if {i} > {y}:\n"
    "            {z}.append({i})\n    return {z}\n\n",
    "def {v}_{n}({x}, {y}=0):\n    # {s}\n    {z} = {y}\n    for {i} in {x}:\n        {z} += len({i})\n"
    "    return {z}\n\n",
    "def {v}_{n}({x}, {y}):\n    # {s}\n    if not {x}:\n        return {y}\n    {z} = sorted({x})\n"
    "    return {z}[0]\n\n",
    "def {v}_{n}({x}):\n    # {s}\n    {y} = dict()\n    for {i} in {x}:\n"
    "        {y}[{i}] = {y}.get({i}, 0) + 1\n    return {y}\n\n",
)
_SLOT: Final = re.compile(r"\{(\w)\}")
_FENCE: Final = ("```python\n", "\n```")

# These fill what is left after a cut, where the next one would be too much: each unit is a word or a character.
_FILLS: Final[dict[Language, tuple[str, ...]]] = {
    "en": (" here", " once", " more", " today", " too", " just", " as", " before", " and", " after"),
    "zh": tuple("等等都可以了的话吧"),
}
_NOTE: Final = ("  #", *re.findall(r" \w+", " keep this one as it is for now and see below" * 4))

# A piece, and in group 1 its stem: what is left of it when the answer ends there.
_PIECE: Final = re.compile(
    r"((?:[^a-z0-9一-鿿\s]*(?:[一-鿿]{1,2}|[a-z0-9]+))|[^a-z0-9一-鿿\s]+)[^a-z0-9一-鿿\s]*\s*", re.IGNORECASE
)


class _Ring(msgspec.Struct, frozen=True, gc=False):
    """A text without end. Piece ``i`` begins at character ``starts[i]``, before it is ``prices[i]`` of text.

    Prices are in hundredths of a token. Both have one entry more than there are pieces, for a whole lap.
    """

    text: str
    starts: array[int]
    prices: array[int]


class _Form(msgspec.Struct, frozen=True, gc=False):
    """How to make answers of a ring: where they begin, where they may be cut, what stands around them.

    ``starts`` are pieces; ``cuts`` are offsets with the price of all before them in ``cut_prices``; ``units``
    fill what is missing after the cut.
    """

    ring: _Ring
    starts: array[int]
    cuts: array[int]
    cut_prices: array[int]
    units: tuple[str, ...]
    unit_price: int
    head: str = ""
    tail: str = ""
    head_price: int = 0
    tail_price: int = 0

    def __repr__(self) -> str:
        return f"<form with {len(self.cuts)} cuts>"


class Passage(msgspec.Struct, frozen=True, gc=False):
    """An answer: its text, and its tokens exactly as `tokens.estimate` counts them."""

    text: str
    tokens: int
    _form: _Form
    _first: int
    _laps: int
    _cut: int
    _filled: int

    def pieces(self) -> Pieces:
        """Cut the text into streamable pieces; computed anew at each call."""
        form, ring, first = self._form, self._form.ring, self._first
        shift, cut = len(form.head) - ring.starts[first], form.cuts[self._cut]
        ends = [len(form.head)] if form.head else []
        for _ in range(self._laps):
            ends += map(shift.__add__, ring.starts[first + 1 :])
            first, shift = 0, shift + len(ring.text)
        last = bisect_left(ring.starts, cut)  # the piece after the one that the cut is in
        ends += map(shift.__add__, ring.starts[first + 1 : last])
        filled_from = len(ends)
        ends += accumulate(map(len, form.units[: self._filled]), initial=cut + shift)
        ends[-1] += len(form.tail)
        return Pieces(ends, self, form.ring.prices, filled_from)


class Pieces(msgspec.Struct, frozen=True, gc=False):
    """Where a passage may be cut for streaming.

    ``ends[i]`` is the offset in characters at which piece ``i`` ends, the last one the text's length. The pieces from
    ``_filled_from`` on are what was left by the cut, and each unit after it.
    """

    ends: list[int]
    _passage: Passage
    _prices: array[int]
    _filled_from: int

    def tokens_to(self, place: int) -> int:
        """The tokens of the text up to the end of piece ``place``, as `tokens.estimate` counts them."""
        passage, prices = self._passage, self._prices
        form, first = passage._form, passage._first
        price, units = form.head_price - prices[first], place - self._filled_from
        if units < 0:
            place += first + (not form.head)
            if place >= len(prices):
                laps, place = divmod(place, len(prices) - 1)
                price += laps * prices[-1]
            return count.whole(price + prices[place])
        price += passage._laps * prices[-1] + form.cut_prices[passage._cut] + units * form.unit_price
        return count.whole(price + form.tail_price if units == passage._filled else price)


class Corpus:
    """All that the simulated models can say. The same seed and version of Faker give the same corpus."""

    def __init__(self, seed: int) -> None:
        english, chinese = _source(seed, "en"), _source(seed, "zh")
        prose: dict[Language, list[str]] = {"en": _sentences(english), "zh": _sentences(chinese)}
        self._prose = {language: _prose_forms(prose[language], language) for language in prose}
        self._code = {language: _code_forms(_functions(english, prose[language])) for language in prose}

    def passage(self, language: Language, tokens: int, draw: int, *, flavour: str = "prose") -> Passage:
        """An answer of exactly ``tokens`` tokens (at least 1) that begins where ``draw`` says.

        ``flavour`` is the task: ``"code"`` gives Python, everything else prose. Raises ``ValueError`` for
        less than one token.
        """
        if tokens < 1:
            raise ValueError(f"a passage has at least 1 token, not {tokens}")
        short, long, long_from = (self._code if flavour == "code" else self._prose)[language]
        form = short if tokens < long_from else long
        ring, cuts, prices, starts = form.ring, form.cuts, form.cut_prices, form.starts
        first = starts[draw % len(starts)]
        start = ring.starts[first]
        # The dearest text that still rounds to `tokens`, as a position on the ring.
        within = ring.prices[first] + 100 * tokens + 49 - form.head_price - form.tail_price
        laps, lap = 0, ring.prices[-1]
        if within >= lap:
            laps, within = divmod(within, lap)
        cut = bisect_right(prices, within) - 1
        if cut < 0:
            laps, within, cut = laps - 1, within + lap, len(cuts) - 1
        # Units until less than 100, a token, is left: the text then rounds to `tokens`.
        left, filled = within - prices[cut], 0
        stop = cuts[cut]
        body = ring.text[start:] + ring.text * (laps - 1) + ring.text[:stop] if laps else ring.text[start:stop]
        if left >= 100:
            filled = (left - 100) // form.unit_price + 1
            body += "".join(form.units[:filled])
        return Passage(form.head + body + form.tail, tokens, form, first, laps, cut, filled)


@lru_cache(maxsize=4)
def corpus_of(seed: int) -> Corpus:
    """The corpus of a seed, made once for all mocks in a process: that takes a fifth of a second."""
    return Corpus(seed)


class _Source(msgspec.Struct, frozen=True):
    """Words by kind (noun, verb, adjective), and the dice to draw them with."""

    random: Random
    words: dict[str, list[str]]
    sentences: Sequence[str]

    def fill(self, template: str, names: dict[str, str]) -> str:
        """Put ``names``, or else random words of the kind, into the template's slots."""
        return _SLOT.sub(lambda slot: names.get(slot[1]) or self.random.choice(self.words[slot[1]]), template)


def _source(seed: int, language: Language) -> _Source:
    faker = Faker(_LOCALES[language], providers=["faker.providers.lorem"])
    faker.seed_instance(seed)
    if language == "en":
        kinds = {"n": "noun", "v": "verb", "a": "adjective"}
        words = {kind: list(faker.get_words_list(part_of_speech=part)) for kind, part in kinds.items()}
    else:
        known = frozenset(faker.get_words_list())
        words = {kind: [word for word in fit.split() if word in known] for kind, fit in _CHINESE.items()}
    return _Source(faker.random, words, _SENTENCES[language])


def _sentences(source: _Source) -> list[str]:
    return [source.fill(source.random.choice(source.sentences), {}) for _ in range(SENTENCES)]


def _functions(source: _Source, comments: Sequence[str]) -> str:
    names = [noun for noun in source.words["n"] if not iskeyword(noun)]
    functions = []
    for comment, template in zip(comments[:FUNCTIONS], cycle(_FUNCTIONS), strict=False):
        slots = dict(zip("xyzi", source.random.sample(names, 4), strict=True))
        functions.append(source.fill(template, slots | {"s": comment}))
    return "".join(functions)


def _compact(numbers: Iterable[int]) -> array[int]:
    """Numbers side by side: a bisection of them touches a tenth of the memory that it would in a tuple."""
    return array("q", numbers)


def _ring(text: str) -> _Ring:
    starts = [piece.start() for piece in _PIECE.finditer(text)] + [len(text)]
    return _Ring(text, _compact(starts), _compact(accumulate(_prices(text, starts, starts[1:]), initial=0)))


def _prices(text: str, starts: Sequence[int], ends: Sequence[int]) -> Iterator[int]:
    """The price of each ``text[start:end]``; most of them repeat."""
    pieces = [text[start:end] for start, end in zip(starts, ends, strict=False)]
    price = {piece: count.price(piece) for piece in set(pieces)}
    return map(price.__getitem__, pieces)


def _form(ring: _Ring, starts: Iterable[int], cuts: Sequence[int], units: tuple[str, ...]) -> _Form:
    """A form without head and tail; ``cuts`` are offsets."""
    pieces = [bisect_left(ring.starts, cut) - 1 for cut in cuts]
    parts = _prices(ring.text, [ring.starts[piece] for piece in pieces], cuts)
    prices = _compact(ring.prices[piece] + part for piece, part in zip(pieces, parts, strict=True))
    return _Form(ring, _compact(starts), _compact(cuts), prices, units, count.price(units[0]))


def _around(form: _Form, head: str, tail: str) -> _Form:
    prices = {"head_price": count.price(head), "tail_price": count.price(tail)}
    return replace(form, head=head, tail=tail, **prices)


def _prose_forms(sentences: Sequence[str], language: Language) -> tuple[_Form, _Form, int]:
    """Forms for the first words of an answer, and for one that ends with a full stop."""
    gap, stop = (" ", ".") if language == "en" else ("", "。")
    paragraphs = (gap.join(sentences[i : i + 4]) for i in range(0, len(sentences), 4))
    ring = _ring("".join(f"{paragraph}\n\n" for paragraph in paragraphs))
    pieces = list(_PIECE.finditer(ring.text))
    sentence_ends = f"{stop}{gap}", f"{stop}\n\n"
    starts = [0, *(i for i, piece in enumerate(pieces[:-1], 1) if piece[0].endswith(sentence_ends))]
    bare = _form(ring, starts, [piece.end(1) for piece in pieces], _FILLS[language])
    ends = [piece[1].lower() not in _DANGLING for piece in pieces]
    cuts, prices = _compact(compress(bare.cuts, ends)), _compact(compress(bare.cut_prices, ends))
    return bare, _around(replace(bare, cuts=cuts, cut_prices=prices), "", stop), WHOLE_FROM


def _code_forms(text: str) -> tuple[_Form, _Form, int]:
    """Forms for a few words of code, and for whole lines of it in a fence."""
    ring = _ring(text)
    pieces = list(_PIECE.finditer(text))
    begins = [0, *(i for i, piece in enumerate(pieces[:-1], 1) if "\n" in piece[0])]
    starts = [i for i in begins if pieces[i][1] in ("def", "for", "return", "if")]
    bare = _form(ring, starts, [piece.end(1) for piece in pieces], _NOTE)
    functions = [i for i in starts if pieces[i][1] == "def"]
    lines = [line.end() for line in re.finditer(r"[^\n]+", text)]
    return bare, _around(_form(ring, functions, lines, _NOTE), *_FENCE), FENCED_FROM
