"""What is read from a request's texts: tokens, task, language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mock_server.contract.messages import ChatRequest, text_of
from mock_server.contract.tokens import PER_MESSAGE, PER_REPLY, estimate
from mock_server.core.prompts import count_prompt, language_of, task_of
from mock_server.core.world import Task

Requests = Callable[..., ChatRequest]


def test_prompt_tokens_are_those_of_the_texts_and_a_few_for_their_framing(request_of: Requests) -> None:
    contents: list[Any] = ["Hello", "word " * 200, "写一个" * 200, [{"type": "text", "text": "half a wo"}] * 2, None]
    contents.append([{"type": "text", "text": "rd " * 200}, {"type": "text", "text": "word"}])
    talk = [{"role": "assistant", "content": content} for content in contents]
    request = request_of(messages=talk)
    tokens = sum(PER_MESSAGE + estimate(text_of(message)) for message in request.messages)
    assert count_prompt(request) == count_prompt(request) == tokens + PER_REPLY


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Hello", "en"),
        ("写一个产品介绍", "zh"),
        ("Translate to English: 你好", "en"),
        ("café", "en"),
        ("用Python写排序", "zh"),
        ("x" * 399 + "写一个产品介绍", "en"),  # only the beginning is read
        ("Здравствуйте, как дела?", "en"),
        ("👍👍👍", "en"),
        ("中 文 写 作", "en"),
        ("中 文 写 作品", "zh"),
    ],
)
def test_the_language_is_that_of_the_last_message(request_of: Requests, text: str, language: str) -> None:
    talk = [{"role": "user", "content": "写一个"}, {"role": "user", "content": text}]
    assert language_of(request_of(messages=talk)) == language


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("How are you today?", "chat"),
        ("Write a product introduction", "chat"),
        ("写一个产品介绍", "chat"),
        ("Write a Python script that sorts files", "code"),
        ("Refactor this", "code"),
        ("Fix it:\n```\nx = 1\n```", "code"),
        ("Please help\nfunction add(a, b) fails", "code"),
        ("(SQL) select all users", "code"),
        ("用代码实现快速排序", "code"),
        ("写一个函数", "code"),
        ("Translate this to French: good morning", "translation"),
        ("First question.\nTranslation of 'hello'?", "translation"),
        ("把这句话翻译成英文", "translation"),
        ("Extract the names from this letter", "extraction"),
        ("请提取文中的日期", "extraction"),
        ("Prove that the square root of two is irrational", "reasoning"),
        ("Think step by step.", "reasoning"),
        ("Why is the sky blue?", "reasoning"),
        ("请证明勾股定理", "reasoning"),
        ("为什么天空是蓝色的", "reasoning"),
        ("Why JSON? Translate the answer", "translation"),  # of several signs the weightier
        ("Why python?", "code"),
        ("为什么要翻译这段代码", "code"),
        ("The barcode was unreadable and improved", "chat"),  # not at the beginning of a word
        ("用Python写排序", "chat"),  # Chinese characters are no end of a word
        ("x" * 300 + " python", "code"),
        ("x" * 400 + " python", "chat"),  # only the beginning is read
    ],
)
def test_tasks_are_told_from_the_text(request_of: Requests, text: str, task: Task) -> None:
    assert task_of(request_of(text)) == task


def test_the_last_user_message_tells_the_task(request_of: Requests) -> None:
    talk = [
        {"role": "system", "content": "You write Python code."},
        {"role": "user", "content": "Translate this"},
        {"role": "assistant", "content": "function"},
        {"role": "user", "content": [{"type": "text", "text": "Prove "}, {"type": "text", "text": "it"}]},
        {"role": "assistant", "content": None},
    ]
    assert task_of(request_of(messages=talk)) == "reasoning"
