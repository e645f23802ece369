"""Worlds: presets, extending, and one exact line for everything that can be wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from mock_server.config import DEFAULT_WORLD, WorldError, build_world, load_world, preset_names, preset_source
from mock_server.contract.accounts import PLANS, TEST_KEYS
from mock_server.core.latency import Constant, HeavyTail, LognormalLatency

PRESETS = ["realistic", "brownout", "calm", "flapping", "instant", "outage", "rate_limited"]
LAWS = ", ".join(f'{{ law = "{law}", … }}' for law in ("constant", "lognormal", "shifted_lognormal", "empirical"))
WORLD_KEYS = (
    "models, description, latency_scale, failure_scale, answer_tokens, gateway, connection, routing, breaker, "
    "failure_mix, plans, accounts, incidents, faults, answers"
)
MINIMAL = """
[models."a/b"]
ttft = { law = "constant", ms = 1.0 }
tokens_per_s = 10
window = 100
price_in = 1
price_out = 2
quality = 0.5
"""


def said(source: str) -> str:
    with pytest.raises(WorldError) as caught:
        build_world(source, "my.toml")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("my.toml: ")
    return message.removeprefix("my.toml: ")


def test_presets_are_listed_with_the_default_first() -> None:
    assert list(preset_names()) == PRESETS
    assert DEFAULT_WORLD == "realistic"


@pytest.mark.parametrize("name", PRESETS)
def test_presets_load_and_describe_themselves(name: str) -> None:
    world = load_world(name)
    assert len(world.models) == 12
    assert world.description
    assert {row.key for row in TEST_KEYS} <= set(world.accounts)
    assert set(PLANS) <= set(world.plans)


def test_presets_do_what_they_are_named_for() -> None:
    worlds = {name: load_world(name) for name in PRESETS}
    assert (worlds["calm"].latency_scale, worlds["calm"].failure_scale) == (1.0, 0.0)
    assert (worlds["instant"].latency_scale, worlds["instant"].failure_scale) == (0.0, 0.0)
    assert worlds["realistic"].failure_scale == 1.0
    assert {name: {i.kind for i in world.incidents} for name, world in worlds.items() if world.incidents} == {
        "brownout": {"brownout"},
        "flapping": {"outage"},
        "outage": {"outage"},
        "rate_limited": {"rate_limited"},
    }


def test_the_provider_table_is_the_contracts() -> None:
    models = load_world("realistic").models
    mini, llama = models["openai/gpt-4.1-mini"], models["groq/llama-3.1-8b"]
    assert mini.ttft == HeavyTail(500.0, 0.56)
    assert (mini.prefill_ms_per_token, mini.tokens_per_s, mini.pace_log_sd) == (0.04, 75.0, 0.15)
    assert (mini.error_rate, mini.rate_limit_rate, mini.window, mini.quality) == (0.003, 0.005, 1_047_576, 0.78)
    assert (llama.price_in, llama.price_out, llama.rate_limit_rate, llama.replicas) == (0.05, 0.08, 0.05, 64)
    assert models["qwen/qwen-plus"].window == 129_024


def test_extending_merges_tables_key_by_key_and_replaces_the_rest() -> None:
    below = load_world("outage")
    world = build_world(
        'extends = "outage"\n[models."openai/gpt-4.1"]\nquality = 0.1\n[gateway]\nstrict = true\n'
        '[[incidents]]\nkind = "brownout"\n[accounts.sk-own]\nbalance = 5\n[plans.own]\nrpm = 3\n',
        "my.toml",
    )
    changed, before = world.models["openai/gpt-4.1"], below.models["openai/gpt-4.1"]
    assert (changed.quality, changed.ttft, changed.window) == (0.1, before.ttft, before.window)
    assert set(world.models) == set(below.models)
    assert [incident.kind for incident in world.incidents] == ["brownout"]
    assert (world.gateway.strict, world.gateway.attempt_timeout_s) == (True, 30.0)
    assert (world.accounts["sk-own"].balance, world.plans["own"].rpm) == (5, 3)
    assert "sk-test-free" in world.accounts


def test_another_latency_law_replaces_the_whole_law() -> None:
    source = 'extends = "calm"\n[models."openai/gpt-4.1"]\nttft = {}\n'
    other = build_world(source.format('{ law = "constant", ms = 5.0 }'), "my.toml")
    assert other.models["openai/gpt-4.1"].ttft == Constant(5.0)
    tuned = build_world(source.format("{ p_ms = 5.0 }"), "my.toml")
    assert tuned.models["openai/gpt-4.1"].ttft == HeavyTail(5.0, 0.63)
    lognormal = build_world(source.format('{ law = "lognormal", median_ms = 5, p95_ms = 5 }'), "my.toml")
    assert lognormal.models["openai/gpt-4.1"].ttft == LognormalLatency(5, 5)


def test_a_world_of_its_own_needs_no_preset() -> None:
    world = build_world(MINIMAL, "my.toml")
    assert list(world.models) == ["a/b"]
    assert (world.latency_scale, world.breaker.failures) == (1.0, 5)


def test_a_world_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('description = "größer"\n' + MINIMAL, encoding="utf-8")
    assert load_world(str(path)).description == "größer"


def test_sources_of_presets_can_be_copied_and_edited() -> None:
    for name in PRESETS:
        assert tomllib.loads(preset_source(name))["description"] == load_world(name).description
        assert build_world(preset_source(name), "copy.toml") == load_world(name)


BROKEN = [
    ("", 'models: is missing; it must be a table; start from a world that ships with the mock: extends = "realistic"'),
    (
        'extends = "calm"\n[models."openai/gpt-4.1-mni"]\nquality = 0.5\n',
        "models.'openai/gpt-4.1-mni'.ttft: is missing; it must be one of "
        '{ law = "constant", … }, { law = "lognormal", … }, { law = "shifted_lognormal", … }, { law = "empirical", … }'
        "; did you mean the model 'openai/gpt-4.1-mini'?",
    ),
    (
        'extends = "calm"\n[models."opnai/x"]\nquality = 0.5\n',
        "models.'opnai/x'.ttft: is missing; it must be one of "
        '{ law = "constant", … }, { law = "lognormal", … }, { law = "shifted_lognormal", … }, { law = "empirical", … }'
        "; did you mean the provider 'openai'?",
    ),
    ("models = 5", "models: must be a table, not 5"),
    ("models = {}", "models: needs at least 1 entry"),
    ("= 3", "not valid TOML: invalid statement (at line 1, column 1)"),
    ("extends = 5", f"extends must name one of {', '.join(PRESETS)}, not 5"),
    ('extends = "mild"', f"extends must name one of {', '.join(PRESETS)}, not 'mild'"),
    (MINIMAL.replace("window = 100", ""), "models.'a/b'.window: is missing; it must be an integer >= 1"),
    (MINIMAL.replace("a/b", "ab"), "models.'ab' must be named provider/model"),
    (MINIMAL.replace("a/b", "/b"), "models.'/b' must be named provider/model"),
    (MINIMAL.replace("0.5", "1.5"), "models.'a/b'.quality: must be a number >= 0 and <= 1, not 1.5"),
    (MINIMAL.replace("0.5", "nan"), "models.'a/b'.quality: must be a number >= 0 and <= 1, not nan"),
    (MINIMAL.replace("0.5", "true"), "models.'a/b'.quality: must be a number >= 0 and <= 1, not true"),
    (MINIMAL.replace("= 10\n", "= 0\n"), "models.'a/b'.tokens_per_s: must be a number >= 0.01 and <= 1e+09, not 0"),
    (MINIMAL.replace("= 100\n", "= 2.5\n"), "models.'a/b'.window: must be an integer >= 1, not 2.5"),
    (
        MINIMAL.replace('"constant"', '"gauss"'),
        f"models.'a/b'.ttft: must be one of {LAWS}, not {{ law = 'gauss', ms = 1.0 }}",
    ),
    (
        MINIMAL.replace("{ law", "{ lav"),
        f"models.'a/b'.ttft: must be one of {LAWS}, not {{ lav = 'constant', ms = 1.0 }}",
    ),
    (MINIMAL.replace("ms =", "msec ="), "models.'a/b'.ttft.msec: unknown key: did you mean 'ms'? allowed are ms"),
    (MINIMAL.replace("1.0 }", "-1.0 }"), "models.'a/b'.ttft.ms: must be a number >= 0 and <= 1e+09, not -1.0"),
    (MINIMAL + "replicas = 0", "models.'a/b'.replicas: must be an integer >= 1, not 0"),
    (
        MINIMAL + "task_quality = { poetry = 0.1 }",
        "models.'a/b'.task_quality.poetry: unknown key; allowed are chat, code, extraction, reasoning, translation",
    ),
    (MINIMAL + "task_quality = { chat = 2 }", "models.'a/b'.task_quality.chat: must be a number >= -1 and <= 1, not 2"),
    (
        "latency_scal = 2\n" + MINIMAL,
        f"latency_scal: unknown key: did you mean 'latency_scale'? allowed are {WORLD_KEYS}",
    ),
    ("latency_scale = -1\n" + MINIMAL, "latency_scale: must be a number >= 0 and <= 1000, not -1"),
    ("failure_scale = '2'\n" + MINIMAL, "failure_scale: must be a number >= 0 and <= 1000, not '2'"),
    (MINIMAL + "[gateway]\nstrict = 1", "gateway.strict: must be true or false, not 1"),
    (
        MINIMAL + "[gateway]\nmodel_unavailable_status = 418",
        "gateway.model_unavailable_status: must be one of 400, 404, 502, 503, not 418",
    ),
    (
        MINIMAL + "[gateway]\nabandoned_charge = 'half'",
        "gateway.abandoned_charge: must be one of delivered, generated, none, not 'half'",
    ),
    (
        MINIMAL + "[gateway]\nattempt_timeout_s = 0",
        "gateway.attempt_timeout_s: must be a number > 0 and <= 1e+09, not 0",
    ),
    (MINIMAL + "[breaker]\nfailures = 0", "breaker.failures: must be an integer >= 1, not 0"),
    (
        MINIMAL + "[breaker]\ncooldown = 1",
        "breaker.cooldown: unknown key: did you mean 'cooldown_s'? allowed are failures, cooldown_s",
    ),
    (MINIMAL + "[failure_mix]\nerror = -1", "failure_mix.error: must be a number >= 0 and <= 1e+09, not -1"),
    (MINIMAL + "[plans.x]\nrpm = 0", "plans.x.rpm: must be an integer >= 1, not 0"),
    (
        MINIMAL + "[plans.x]\nrpn = 1",
        "plans.x.rpn: unknown key: did you mean 'rpm'? allowed are rpm, rpd, tpm, concurrent",
    ),
    (MINIMAL + "[accounts.k]\nbalance = -1", "accounts.k.balance: must be an integer >= 0, not -1"),
    (
        MINIMAL + "[accounts.k]\nbalance = 2020-01-01",
        "accounts.k.balance: must be an integer >= 0, not datetime.date(2020, 1, 1)",
    ),
    (
        MINIMAL + "[accounts.k]\nfate = 'doom'",
        "accounts.k.fate: must be one of error, normal, outage, revoked, not 'doom'",
    ),
    (
        MINIMAL + "[accounts.k]\nplan = 'gold'",
        "accounts.k.plan names no plan: 'gold'; plans are none, free, basic, pro, single",
    ),
    (MINIMAL + "[incidents]\nkind = 'outage'", "incidents: must be an array, not { kind = 'outage' }"),
    (
        MINIMAL + "[[incidents]]\nat = 1",
        "incidents[0].kind: is missing; it must be one of brownout, outage, rate_limited",
    ),
    (
        MINIMAL + "[[incidents]]\nkind = 'storm'",
        "incidents[0].kind: must be one of brownout, outage, rate_limited, not 'storm'",
    ),
    (
        MINIMAL + "[[incidents]]\nkind = 'outage'\n[[incidents]]\nkind = 'outage'\nslow = 0.5",
        "incidents[1].slow: must be a number >= 1 and <= 1000, not 0.5",
    ),
    (
        MINIMAL + "[[incidents]]\nkind = 'outage'\nlasts = 5",
        "incidents[0].lasts: unknown key: allowed are kind, match, at, for, every, rate, slow, announced, ramp",
    ),
    (
        MINIMAL + "[[incidents]]\nkind = 'outage'\nmatch = 'z'",
        "incidents[0].match is about no model: 'z'; models are a/b",
    ),
    (
        MINIMAL + "[[incidents]]\nkind = 'outage'\nevery = 5",
        "incidents[0].every needs a `for`: how long each one lasts",
    ),
    (MINIMAL + "[[answers]]\nreplies = [{ text = '' }]", "answers[0].replies[0].text: must not be empty"),
    (
        MINIMAL + "[gateway]\nreserve = 'Model_Max'",
        "gateway.reserve: must be one of completion, model_max, not 'Model_Max'; did you mean 'model_max'?",
    ),
    *(
        (
            MINIMAL + f"[accounts.{key}]",
            f"accounts.{shown}: no header can carry this key: keys are of visible characters, ASCII or Latin-1",
        )
        for key, shown in (('"漢"', "漢"), ('"a\\nb"', r"'a\nb'"), ('""', "''"), ('" a"', "' a'"))
    ),
]


@pytest.mark.parametrize(("source", "message"), BROKEN, ids=lambda value: value.strip().replace("\n", " ")[-40:])
def test_broken_worlds_get_one_exact_line(source: str, message: str) -> None:
    assert said(source) == message


@pytest.mark.parametrize(
    "source",
    ['"a\\nb" = 1\n' + MINIMAL, MINIMAL + '[accounts."sk\\nx"]\nplan = "gold"', MINIMAL + '[gateway]\n"x\\ny" = 1'],
)
def test_even_keys_with_line_breaks_get_one_line(source: str) -> None:
    assert "\\n" in said(source)


def test_deeply_nested_worlds_get_one_line() -> None:
    assert said("a = " + "[" * 5_000) == "nested too deeply"


@pytest.mark.parametrize(
    ("ttft", "message"),
    [
        ('{ law = "lognormal", median_ms = 100, p95_ms = 50 }', "p95_ms"),
        ('{ law = "empirical", quantiles_ms = [100, 50] }', "quantiles_ms"),
    ],
)
def test_laws_that_contradict_themselves_are_refused(ttft: str, message: str) -> None:
    found = said(MINIMAL.replace('{ law = "constant", ms = 1.0 }', ttft))
    assert found.startswith("models.'a/b'.ttft")
    assert message in found


def test_unknown_names_list_the_presets() -> None:
    listed = f"worlds are {', '.join(PRESETS)}, or the path of a .toml file"
    for name, hint in (("realstic", "did you mean 'realistic'? "), ("xyz", "")):
        with pytest.raises(WorldError) as caught:
            load_world(name)
        assert str(caught.value) == f"no world {name!r}: {hint}{listed}"


def test_files_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'description = "gr\xfc\xdfe"')
    for path, message in (
        (str(tmp_path / "none.toml"), "no such file or directory: cannot read the world file"),
        (str(tmp_path), "is a directory: cannot read the world file"),
        (str(latin), "not UTF-8 at byte 17: a world file is UTF-8 text"),
    ):
        with pytest.raises(WorldError) as caught:
            load_world(path)
        assert str(caught.value) == f"{path}: {message}"
