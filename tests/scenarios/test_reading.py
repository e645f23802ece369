from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.gate import Gate, Scope
from scenarios.model.load import Closed, Open, Script, Stage, Stages
from scenarios.model.reading import ScenarioError, read_scenario
from scenarios.model.scenario import Scenario
from scenarios.model.workload import Lognormal, PromptTokens

HEAD = 'name = "x"\nworld = "instant"\nduration_s = 8\n'
OPEN = HEAD + '[load]\nkind = "open"\nrate_per_s = 20\n'
CLOSED = HEAD + '[load]\nkind = "closed"\nusers = 5\n'
SCRIPT = HEAD + '[load]\nkind = "script"\n'
CALL = '[[call]]\nkind = "a"\nask = "b"\n'
STAGES = 'name = "x"\nworld = "instant"\n[[load.stages]]\nfor_s = 5\nrate_per_s = 2\n[[load.stages]]\nfor_s = 3\n'
INLINE = HEAD + "load.stages = [{ for_s = 8, rate_per_s = 1 }]"
WHOLE = """
name = "short"
description = "one line"
world = "instant"
warmup_s = 2
duration_s = 8
drain_s = 60
timeout_s = 30
[load]
kind = "open"
rate_per_s = 20
to_rate_per_s = 40
arrivals = "gamma"
burstiness = 0.5
[workload]
tasks = { conversation = 1.0 }
modes = { auto = 2, cost = 1 }
keys = { sk-test-free = 1.0, sk-test-pro = 2 }
streamed = 0.4
chinese = 0.3
max_tokens = 256
prompt_tokens = { lognormal = { mu = 6.6, sigma = 1.0 } }
[client]
policy = "polite"
[[gate]]
metric = "scheduled_p95_ms"
scope = { provider = "openai" }
max = 2500
why = "the chat page gives up after 3 s"
"""


def test_every_word_is_read() -> None:
    scenario = read_scenario(WHOLE, "short.toml")
    assert scenario.load == Open(rate_per_s=20, to_rate_per_s=40, arrivals="gamma", burstiness=0.5)
    assert (scenario.name, scenario.description, scenario.world) == ("short", "one line", "instant")
    assert (scenario.warmup_s, scenario.duration_s, scenario.longest_drain_s, scenario.timeout_s) == (2, 8, 60, 30)
    workload = scenario.workload
    assert (workload.tasks, workload.modes) == ({"conversation": 1}, {"auto": 2, "cost": 1})
    assert workload.keys == {"sk-test-free": 1, "sk-test-pro": 2}
    assert (workload.streamed, workload.chinese, workload.max_tokens) == (0.4, 0.3, 256)
    assert workload.prompt_tokens == PromptTokens(lognormal=Lognormal(mu=6.6, sigma=1.0))
    assert scenario.most_tries > 1
    why = "the chat page gives up after 3 s"
    assert scenario.gates == (Gate("scheduled_p95_ms", max=2500, why=why, scope=Scope(provider="openai")),)


def test_a_scenario_survives_the_plan_file() -> None:
    for source in (WHOLE, OPEN, CLOSED, SCRIPT + CALL, STAGES + "rate_per_s = 1"):
        scenario = read_scenario(source, "x.toml")
        assert msgspec.json.decode(msgspec.json.encode(scenario), type=Scenario) == scenario


def test_the_drain_is_as_long_as_the_timeout_unless_told_otherwise() -> None:
    assert read_scenario("timeout_s = 7\n" + OPEN, "x").longest_drain_s == 7
    assert read_scenario("drain_s = 0\n" + OPEN, "x").longest_drain_s == 0


def test_the_other_loads() -> None:
    assert read_scenario(CLOSED + "think_s = 0.5", "x").load == Closed(users=5, think_s=0.5)
    assert read_scenario(SCRIPT + CALL, "x").load == Script()


def test_stages_say_how_long_the_window_is_and_share_what_stands_beside_them() -> None:
    source = 'name = "x"\nworld = "calm"\n[load]\narrivals = "constant"\n' + STAGES.split("\n", 2)[2]
    scenario = read_scenario(source + "rate_per_s = 2\nto_rate_per_s = 9\narrivals = 'poisson'", "x")
    assert scenario.duration_s == 8
    assert scenario.load == Stages(
        stages=(
            Stage(for_s=5, rate_per_s=2, arrivals="constant"),
            Stage(for_s=3, rate_per_s=2, to_rate_per_s=9, arrivals="poisson"),
        )
    )


MISTAKES = [
    # What is unknown, with a near miss.
    (OPEN.replace("name", "nme"), 1, "nme: unknown key: did you mean 'name'?"),
    (OPEN + "arivals = 'poisson'", 7, "load.arivals: unknown key: did you mean 'arrivals'? allowed are rate_per_s"),
    (OPEN + "arrivals = 'poison'", 7, "one of constant, gamma, poisson, not 'poison'; did you mean 'poisson'?"),
    (OPEN + "warmup_s = 1", 7, "load.warmup_s: unknown key: allowed are "),
    (OPEN + "warmup_s = 1", 7, "; warmup_s belongs above the first [table]"),
    (OPEN.replace('"open"', '"trace"'), 5, "load.kind: must be one of open, closed, script, not 'trace'"),
    (OPEN.replace('"open"', '"clsoed"'), 5, "did you mean 'closed'?"),
    (OPEN.replace('"open"', "3"), 5, "not 3"),
    (OPEN + "users = 5", 7, "load.users: unknown key"),
    (OPEN + "[workload]\ntasks = { conversatoin = 1 }", 8, "tasks.conversatoin: unknown key; allowed are code,"),
    (OPEN + "[workload]\ntasks = { conversatoin = 1 }", 8, "did you mean 'conversation'?"),
    (OPEN + "[workload.modes]\nfast = 1", 8, "workload.modes.fast: unknown key; allowed are auto, balanced"),
    (OPEN + '[client]\npolicy = "openai-pyhton"', 8, "did you mean 'openai-python'?"),
    (OPEN + '[client]\npolicies = { polite = 0 }', 8, "client.policies: needs a weight above 0"),
    (OPEN + '[client]\npolicy = "rude"\npolicies = { polite = 1 }', 9, "give one of the two"),
    (OPEN + '[[gate]]\nmetric = "p95"\nmax = 1', 8, "gate[0].metric: no metric is called 'p95'; "),
    (OPEN + '[[gate]]\nmetric = "count_500"\nmax = 1\nscope = { modle = 1 }', 10, "did you mean model?"),
    # Of the wrong type.
    (OPEN.replace("20", '"20"'), 6, "load.rate_per_s: must be a number >= 0 and < 1e+06, not '20'"),
    (OPEN.replace("20", "true"), 6, "not true"),
    (OPEN.replace("duration_s = 8", "duration_s = '8s'"), 3, "duration_s: must be a number"),
    (HEAD + 'load = "open"', 4, "load: must be a table"),
    (HEAD + '[[load]]\nkind = "open"', 4, "load: must be a table"),
    (OPEN + "[gate]\nmetric = 'count_500'", 7, "each gate begins with a line [[gate]]"),
    (SCRIPT + "[call]\nask = 'x'", 6, "call: must be an array"),
    # Shares and weights.
    (OPEN + "[workload]\nstreamed = 1.01", 8, "workload.streamed: must be a number >= 0 and <= 1"),
    (OPEN + "[workload]\nchinese = nan", 8, "not nan"),
    (OPEN + "[workload]\ntasks = { code = 0, reasoning = 0.0 }", 8, "workload.tasks: needs a weight above 0"),
    (OPEN + "[workload]\ntasks = {}", 8, "needs a weight above 0"),
    (OPEN + "[workload]\nmodes = { auto = -1 }", 8, "must be a number >= 0"),
    (OPEN + "[workload]\nmodes = { auto = inf }", 8, "not inf"),
    (OPEN + "[workload]\nkeys = { a = 0 }", 8, "workload.keys: needs a weight above 0"),
    (OPEN + '[workload]\nkeys = { "a b" = 1 }', 8, "cannot stand in a header"),
    (OPEN + "[workload]\nkeys = { sk-secret-key-7890 = -1 }", 8, "workload.keys.…7890: must be"),
    (OPEN + "[workload]\nprompt_tokens = {}", 8, "{ constant = N } or { lognormal"),
    (OPEN + "[workload]\nprompt_tokens = 20", 8, "workload.prompt_tokens: must be a table, not 20"),
    (OPEN + "[workload]\nprompt_tokens = { constant = 0 }", 8, "an integer >= 1"),
    (OPEN + "[workload]\nprompt_tokens = { lognormal = { mu = 6 } }", 8, "lognormal.sigma: is missing"),
    # Absurd numbers.
    (OPEN.replace("20", "1e9"), 6, "not 1000000000.0"),
    (OPEN.replace("20", "1" + "0" * 400), 6, "not a longer number"),
    (OPEN.replace("20", "0"), 6, "load.rate_per_s: must be above 0"),
    (OPEN.replace("duration_s = 8", "duration_s = 1e-300"), 3, "duration_s: must be a number >= 0.001"),
    (OPEN.replace("duration_s = 8", "duration_s = inf"), 3, "not inf"),
    (OPEN.replace("duration_s = 8", "duration_s = 0.001"), 4, "are 0 calls; plan 1 to 20,000,000"),
    (OPEN.replace("20", "999_999").replace("= 8", "= 86400"), 4, "plan 1 to 20,000,000"),
    (OPEN + "[workload]\nmax_tokens = 1_000_000", 8, "max_tokens: must be an integer >= 1 and <= 131072"),
    (OPEN + '[[gate]]\nmetric = "count_500"\nmax = 1e40', 9, "gate[0].max: the limit must be at most 1e+12"),
    (CLOSED.replace("5", "0"), 6, "load.users: must be an integer >= 1"),
    # What is missing.
    (OPEN.replace("duration_s = 8\n", ""), 1, "duration_s: is missing"),
    (OPEN.replace('world = "instant"\n', ""), 1, "world: is missing"),
    (HEAD, 1, "load: is missing; write [load]"),
    (HEAD + "[load]\nrate_per_s = 2", 4, "load.kind: is missing; it must be one of open, closed, script"),
    (HEAD + '[load]\nkind = "open"', 4, "load.rate_per_s: is missing"),
    (STAGES.replace("for_s = 3\n", "rate_per_s = 5"), 6, "load.stages[1].for_s: is missing"),
    (SCRIPT, 1, "call: is missing"),
    # What contradicts itself.
    (OPEN + "burstiness = 2", 7, 'load.burstiness: is for arrivals = "gamma", not "poisson"'),
    (OPEN + CALL, 7, "only a script makes [[call]]s"),
    (SCRIPT + CALL + "[workload]\nstreamed = 1", 9, "means nothing to a script"),
    ("warmup_s = 1\n" + SCRIPT + CALL, 1, "a script has no warm-up"),
    ("duration_s = 9\n" + STAGES + "rate_per_s = 5", 1, "the stages last 8 s together"),
    (STAGES + 'rate_per_s = 1\nkind = "closed"', 9, "must be open, not 'closed': only open loads have stages"),
    ("load.kind = 'closed'\n" + INLINE, 1, "load.kind: must be open"),
    ("load.rate_per_s = 5\n" + INLINE, 1, "each of the [[load.stages]]"),
    ("load.arrivals = 'x'\n" + INLINE, 1, "not 'x'"),
    (HEAD + "[load]\nstages = 3", 5, "each stage begins with a line [[load.stages]]"),
    (HEAD + "[load]\nstages = []", 5, "needs at least 1"),
    # Names and calls.
    (OPEN.replace('"x"', '"../x"'), 1, "name: must be letters, digits"),
    (OPEN.replace('"x"', '""'), 1, "name: must be letters"),
    ('description = """a\nb"""\n' + OPEN, 1, "description: must be one line"),
    (SCRIPT + CALL + 'body = "x"', 8, "either ask, a question, or body"),
    (SCRIPT + CALL + 'expect = "INVALID_REQEST"', 9, "did you mean 'INVALID_REQUEST'?"),
    (SCRIPT + CALL + 'headers = { "X Y" = "1" }', 9, "is no name of a header"),
    (SCRIPT + CALL + 'headers = { X = "1\\r\\nY: 2" }', 9, "must be printable ASCII"),
    (SCRIPT + CALL + 'path = "v1"', 9, "call[0].path: must begin with /"),
    (SCRIPT + CALL + "repeat = 16_777_217", 9, "call[0].repeat: must be an integer"),
    (SCRIPT + CALL.replace('"b"', '"bb"') + "repeat = 16_777_216", 9, "a question of more than 16,777,216 characters"),
    # What is no TOML.
    (OPEN + "a = = 2", 7, "not valid TOML: invalid value"),
    (OPEN + "rate_per_s = 3", 7, "not valid TOML: cannot overwrite a value"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "line", "said"), MISTAKES)
def test_a_mistake_names_file_line_key_and_what_is_allowed(source: str, line: int, said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read_scenario(source, "my.toml")
    assert str(caught.value).startswith(f"my.toml:{line}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_message_shows_a_whole_key() -> None:
    with pytest.raises(ScenarioError) as caught:
        read_scenario(SCRIPT + CALL + 'key = ["sk-secret-key-7890"]', "x")
    assert "secret" not in str(caught.value)


VALUES = st.recursive(
    st.none().map(lambda _: "''") | st.integers().map(str) | st.floats().map(lambda f: repr(f)) | st.just("true"),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(st.sampled_from(["kind", "mu", "a"]), inner, max_size=2).map(
            lambda table: "{" + ", ".join(f"{key} = {value}" for key, value in table.items()) + "}"
        )
    ),
    max_leaves=4,
)
KEYS = ["name", "world", "duration_s", "load", "workload", "client", "gate", "call", "load.stages", "workload.tasks"]


@given(st.sampled_from(KEYS), VALUES)
def test_whatever_stands_behind_a_key_is_read_or_refused_in_one_line(key: str, value: str) -> None:
    source = f"{key} = {value}\n" + "\n".join(
        line for line in OPEN.splitlines() if not line.startswith(key.partition(".")[0])
    )
    said = ""
    try:
        read_scenario(source, "x")
    except ScenarioError as error:
        said = str(error)
    assert "\n" not in said
