"""What was learned as a world file: TOML with a comment beside each number that says where it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from mock_server.config import build_world
from mock_server.kit.conform.finding import printable
from mock_server.kit.proxy.learning import Habit, Learned, Lesson

_SETTINGS: Final = (
    "ttft",
    "prefill_ms_per_token",
    "tokens_per_s",
    "pace_log_sd",
    "error_rate",
    "price_in",
    "price_out",
    "window",
    "max_output",
    "quality",
    "task_quality",
)
_ABOUT: Final = (
    "Times are those the recorder saw: they hold the network between it and the gateway, and the gateway's own work.",
    "A time to the first token shows on streams only; the plain answers of a model take it and its pace from there.",
    "They are fitted under the load there was, and the mock slows down further under load of its own.",
    "ttft: D is the largest gap between the law's distribution and the samples'.",
)


def render(lesson: Lesson, target: str, lag_ms: float | None) -> str:
    """The file's text, which is known to be a world. Raises :class:`~mock_server.config.WorldError` if it is not."""
    text = "\n".join([*_head(lesson, target, lag_ms), *_body(lesson)]) + "\n"
    build_world(text, "the learned world")
    return text


def _head(lesson: Lesson, target: str, lag_ms: float | None) -> Iterator[str]:
    yield f"description = {_value(f'learned from {lesson.samples} calls to {target}')}"
    yield ""
    for line in _ABOUT:
        yield _comment(line)
    if lag_ms is not None:
        yield _comment(f"The recorder itself was up to {lag_ms:.1f} ms late (p99), which is in the times as well.")
    if lesson.unfitted:
        yield ""
        yield _comment("Not fitted, or not to be played:")
        for line in lesson.unfitted:
            yield _comment(f"- {line}")


def _body(lesson: Lesson) -> Iterator[str]:
    for model in lesson.models:
        yield from _model(model)
    if any(model.settings.error_rate for model in lesson.models):
        yield ""
        yield f"[failure_mix]  {_comment('how an attempt failed no answer tells: all are played as an error at once')}"
        yield from ("error = 1.0", "timeout = 0.0", "refused = 0.0")
    for task, (length, note) in lesson.lengths.items():
        yield ""
        yield f"[answer_tokens.{task}]  {_comment(note)}"
        yield f"mu = {_value(length.mu)}"
        yield f"sigma = {_value(length.sigma)}"
    for habit in lesson.failures:
        yield from _habit(habit)


def _model(model: Learned) -> Iterator[str]:
    yield ""
    yield f"[models.{_value(model.name)}]  {_comment(model.notes['name'])}"
    settings = msgspec.to_builtins(model.settings)
    for name in _SETTINGS:
        value = settings[name]
        if value is None or value == {}:
            continue
        note = model.notes.get(name)
        yield f"{name} = {_value(value)}" + (f"  {_comment(note)}" if note else "")


def _habit(habit: Habit) -> Iterator[str]:
    rule = habit.rule
    yield ""
    yield f"[[faults]]  {_comment(habit.note)}"
    if match := msgspec.to_builtins(rule.match):
        yield f"match = {_value(match)}"
    yield f"code = {rule.code}" if rule.code is not None else f"fault = {_value(rule.fault)}"
    yield f"rate = {_value(rule.rate)}"


def _comment(text: str) -> str:
    return "# " + " ".join(printable(text).split())


def _value(value: Any) -> str:
    """A value in TOML, whose strings and numbers are written as those of JSON."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
