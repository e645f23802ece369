"""A world whose rules or incidents could never strike is refused, with what was probably meant."""

from __future__ import annotations

import re
from itertools import product

import pytest

from mock_server.config import WorldError, build_world, load_world, preset_names
from mock_server.core.world import Model, World
from mock_server.schema import settings_of

FAULT = "[[faults]]\ncode = 500\n"
ANSWER = '[[answers]]\nreplies = [{ text = "a" }]\n'
INCIDENT = '[[incidents]]\nkind = "outage"\n'


def build(toml: str) -> World:
    return build_world(f'extends = "realistic"\n{toml}', "my.toml")


def said(toml: str) -> str:
    with pytest.raises(WorldError) as caught:
        build(toml)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix("my.toml: ")


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        (
            FAULT + 'match = { provider = "opnai" }',
            "faults[0].match.provider is about no model: 'opnai': did you mean 'openai'? models are openai/gpt",
        ),
        (
            FAULT + 'match = { provider = "OpenAI" }',
            "faults[0].match.provider is about no model: 'OpenAI': did you mean 'openai'? models are openai/gpt",
        ),
        (FAULT + 'match = { provider = "acme" }', "faults[0].match.provider is about no model: 'acme'; models are "),
        (
            FAULT + 'match = { model = "gpt-4.1-mni" }',
            "faults[0].match.model is about no model: 'gpt-4.1-mni': did you mean 'gpt-4.1-mini'? models are ",
        ),
        (
            FAULT + 'match = { model = "openai/claude-haiku-4-5" }',
            "faults[0].match.model is about no model: 'openai/claude-haiku-4-5'",
        ),
        (
            FAULT + 'match = { provider = "groq", model = "gpt-4.1" }',
            "faults[0].match.model is not one of match.provider's: 'gpt-4.1'; 'groq' has llama-3.3-70b, llama-3.1-8b",
        ),
        (FAULT + "rate = 0.0", "faults[0].rate is 0: it would strike no call"),
        (FAULT + 'match = { key = "sk-none" }', "faults[0].match.key: no account has this key, so that nothing"),
        (FAULT + 'match = { key = "sk-test-revoked" }', "faults[0].match.key: this key is revoked"),
        (
            FAULT + 'match = { key = "sk-test-error", provider = "groq" }',
            "faults[0].match.key: calls with this",
        ),
        (
            '[[faults]]\nfault = "reset"\nmatch = { key = "sk-test-error" }',
            "faults[0].match.key: calls with this",
        ),
        (
            '[[faults]]\nfault = "dribble"\nmatch = { key = "sk-test-outage" }',
            "faults[0].match.key: with this key",
        ),
        (FAULT + 'match = { key = "sk-test-outage", model = "gpt-4.1" }', "faults[0].match.key: with this key"),
        (ANSWER + 'match = { key = "sk-test-error" }', "answers[0].match.key: calls with this key are answered 500"),
        (ANSWER + 'match = { text = " " }', "answers[0].match.text is blank, and a blank message is refused"),
        (INCIDENT + "at = inf", "incidents[0].at: must be a number >= 0 and <= 1e+09"),
        ("[gateway]\nkeep_alive_s = 1e-9", "gateway.keep_alive_s: must be a number >= 0.01"),
        (FAULT + 'match = { test = "two words" }', "faults[0].match.test: X-Mock-Test must be 1 to 128 visible"),
        (
            '[[faults]]\nfault = "empty"\nmatch = { stream = true }',
            "faults[0]: empty cannot strike a stream",
        ),
        (FAULT + FAULT, "faults[1]: faults[0] is asked before it and strikes every call that it could"),
        (FAULT + FAULT + 'match = { provider = "groq" }', "faults[1]: faults[0] is asked before it"),
        (FAULT + 'match = { provider = "groq" }\n' + FAULT, "faults[0]: faults[1] is asked before it"),
        (FAULT + "every = 1\n" + FAULT + 'match = { text = "a" }', "faults[1]: faults[0] is asked before it"),
        (FAULT + "hits = 2\nof = 2\n" + FAULT + "rate = 0.5", "faults[1]: faults[0] is asked before it"),
        ('[[faults]]\nfault = "eof"\n[[faults]]\nfault = "bad_chunk"', "faults[1]: faults[0] is asked before it"),
        (ANSWER + 'match = { model = "gpt-5*" }', "answers[0].match.model is about no model: 'gpt-5*'"),
        (ANSWER + 'match = { key = "sk-none" }', "answers[0].match.key: no account has this key"),
        (ANSWER + 'match = { text = "a", contains = "b" }', "answers[0].match.contains is no part of match.text"),
        (ANSWER + 'match = { text = "a", regex = "b+" }', "answers[0].match.regex is not found in match.text"),
        (ANSWER + ANSWER + 'match = { contains = "b" }', "answers[1]: answers[0] comes before it and answers every"),
        (INCIDENT + 'match = "opnai"', "incidents[0].match is about no model: 'opnai': did you mean 'openai'? models"),
        (INCIDENT + 'match = "openai/gpt-4.l"', "incidents[0].match is about no model: 'openai/gpt-4.l': did you mean"),
        (INCIDENT + "rate = 0", "incidents[0].rate is 0 and slow is 1: it would change nothing"),
        ("latency_scale = 0\n" + INCIDENT + "rate = 0\nslow = 3", "incidents[0].rate is 0, and this world has no"),
    ],
    ids=lambda text: text.replace("\n", " ")[-50:],
)
def test_what_can_never_strike_is_refused(toml: str, says: str) -> None:
    assert said(toml).startswith(says)


@pytest.mark.parametrize(
    "toml",
    [
        FAULT + 'match = { provider = "groq", model = "llama-3.1-8b" }',
        FAULT + 'match = { model = "groq/llama-3.1-8b" }',
        FAULT + "times = 1\n" + FAULT,
        FAULT + "every = 2\n" + FAULT,
        FAULT + "rate = 0.5\n" + FAULT,
        FAULT + "hits = 1\nof = 2\n" + FAULT,
        FAULT + 'match = { text = "a" }\n' + FAULT,
        FAULT + 'match = { provider = "groq" }\n' + FAULT + 'match = { text = "a" }',
        '[[faults]]\nfault = "eof"\n' + FAULT,
        '[[faults]]\nfault = "eof"\n[[faults]]\nfault = "empty"',
        '[[faults]]\nfault = "reset;after=2"\n[[faults]]\nfault = "reset"',
        ANSWER + 'match = { contains = "a" }\n' + ANSWER + 'match = { contains = "ab" }\n' + ANSWER,
        ANSWER + 'match = { model = "gpt-4*" }',
        INCIDENT + "rate = 0\nslow = 2",
        FAULT + 'match = { key = "sk-test-error" }',
        '[[faults]]\nfault = "reset"\nmatch = { key = "sk-test-outage" }',
        ANSWER + 'match = { key = "sk-test-outage" }',
        '[[answers]]\nreplies = [{ text = "a", provider = "acme" }]\n' + FAULT + 'match = { provider = "acme" }',
        '[[answers]]\nreplies = [{ text = "a", model = "own" }]\n' + FAULT + 'match = { model = "groq/own" }',
        INCIDENT + 'match = "google/*"',
    ],
    ids=lambda text: text.replace("\n", " ")[-50:],
)
def test_what_may_strike_is_taken(toml: str) -> None:
    assert isinstance(build(toml), World)


@pytest.mark.parametrize("name", preset_names())
def test_whatever_happens_in_a_preset_can_happen(name: str) -> None:
    assert load_world(name).models


WRONG = ("[]", "{}", '"x"', "-1", "1.5", "true", "nan", "2020-01-01")
LAWS = (
    "{}",
    '{ law = "constant" }',
    '{ law = "constant", ms = -1 }',
    '{ law = "gauss", ms = 1 }',
    '{ law = "empirical", quantiles_ms = [1] }',
    '{ law = "empirical", quantiles_ms = [2, 1] }',
    '{ law = "lognormal", median_ms = 2, p95_ms = 1 }',
    '{ law = "shifted_lognormal", p_ms = 1, sigma = 9 }',
)
SETTINGS = [setting.path for setting in settings_of(Model)]


CASES = [*product(SETTINGS, WRONG), *(("ttft", law) for law in LAWS), ("winow", "1")]


def message_about(setting: str, value: str) -> str | None:
    """What is said of a model with such a setting; None when it may be so."""
    table = '[models."own/best"]\nttft = { law = "constant", ms = 1 }\ntokens_per_s = 1\nwindow = 9\n'
    table += "price_in = 1\nprice_out = 1\nquality = 0.5\n"
    table = re.sub(rf"^{re.escape(setting)} = .*\n", "", table, flags=re.MULTILINE)
    try:
        build(f"{table}{setting} = {value}\n")
    except WorldError as error:
        return str(error)
    return None


def test_every_message_about_a_model_names_it() -> None:
    messages = {case: message_about(*case) for case in CASES}
    assert {case for case, message in messages.items() if message is None} == TAKEN
    said = {case: message for case, message in messages.items() if message is not None}
    assert {case: message for case, message in said.items() if message.count("models.'own/best'") != 1} == {}


TAKEN = {(setting, "1.5") for setting in SETTINGS if "_per_" in setting or setting in ("price_in", "price_out")}
TAKEN |= {("pace_log_sd", "1.5"), ("task_quality", "{}")}


def test_canned_answers_that_name_nobody_make_no_pair_of_names_possible() -> None:
    several = "".join(f'[[answers]]\nmatch = {{ text = "{n}" }}\nreplies = [{{ text = "a" }}]\n' for n in range(50))
    fault = FAULT + 'match = { provider = "groq", model = "gpt-4.1" }'
    assert said(ANSWER + fault).startswith("faults[0].match.model is not one of match.provider's: 'gpt-4.1'")
    assert said(several + fault).startswith("faults[0].match.model is not one of match.provider's: 'gpt-4.1'")
