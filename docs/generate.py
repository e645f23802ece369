"""Writes the parts of the documentation that derive from the code: `python docs/generate.py` (`make docs`).

Such a part stands between `<!-- made by make docs: NAME -->` and `<!-- end -->`. A test runs the same function and
fails when a page is stale.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from math import inf
from pathlib import Path
from typing import Final

import msgspec

from mock_server.contract.accounts import PLANS, TEST_KEYS
from mock_server.core.faults import FRAMING_MEANINGS, STAGE_MEANINGS, STAGES, TABLE
from mock_server.core.world import World
from mock_server.edge.journal import Entry
from mock_server.http.control.asked import fields_of
from mock_server.http.control.table import OPERATIONS, PREFIX
from mock_server.judge.rules import RULES as CLIENT_RULES
from mock_server.judge.rules import Rule
from mock_server.kit.check.judging import OWN_RULES
from mock_server.kit.conform.pack import PACK
from mock_server.schema import settings_of
from reports.rules import RULES
from scenarios.model.policy import POLICIES, Policy
from zoo.clients import Client, Names, Seen, clients
from zoo.retries import Retrier, retriers

DOCS: Final = Path(__file__).parent
_BLOCK: Final = re.compile(r"(<!-- made by make docs: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """``text`` with every generated part made anew."""
    return _BLOCK.sub(lambda block: f"{block[1]}\n{PARTS[block[2]]()}\n{block[3]}", text)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def _settings() -> str:
    rows = []
    for setting in settings_of(World):
        default = f"`{setting.default}`" if setting.default else "required"
        rows.append((f"`{setting.path}`", setting.allowed, default, setting.meaning))
    return _table(("setting", "may be", "default", "meaning"), rows)


def _keys() -> str:
    def balance(tokens: int | None) -> str:
        return "unlimited" if tokens is None else f"{tokens:,}"

    rows = [(f"`{row.key}`", row.use, row.plan, balance(row.balance)) for row in TEST_KEYS]
    return _table(("key", "what happens", "plan", "balance in tokens"), rows)


def _plans() -> str:
    def limit(number: int | None) -> str:
        return "–" if number is None else f"{number:,}"

    rows = [(f"`{name}`", limit(p.rpm), limit(p.rpd), limit(p.tpm), limit(p.concurrent)) for name, p in PLANS.items()]
    return _table(("plan", "requests/min", "requests/day", "tokens/min", "in flight at once"), rows)


def _faults() -> str:
    def places(stages: tuple[str, ...]) -> str:
        return "all stages" if stages == STAGES else ", ".join(stages) or "never"

    rows = [
        (f"`{kind};for=S`" if row.takes_for else f"`{kind}`", row.meaning, places(row.plain), places(row.stream))
        for kind, row in TABLE.items()
    ]
    return _table(("kind", "what happens", "on a plain answer", "on a stream"), rows)


def _meanings(what: str, meanings: Iterable[tuple[str, str]]) -> str:
    return _table((what, "meaning"), ((f"`{name}`", meaning) for name, meaning in meanings))


def _control() -> str:
    rows = []
    for endpoint in OPERATIONS:
        path = PREFIX + endpoint.path.replace(":path", "")
        query = ", ".join(f"`{field.encode_name}`" for field in fields_of(endpoint.query))
        takes = f"`{endpoint.shown}`" if endpoint.shown else query
        rows.append((f"`{endpoint.method} {path}`", takes, endpoint.meaning, endpoint.without_test))
    return _table(("request", "takes", "what it does", "without `X-Mock-Test` about"), rows)


def _entry() -> str:
    _, components = msgspec.json.schema_components([Entry])
    properties = components[Entry.__name__]["properties"]
    return _meanings("field", ((field.encode_name, _described(properties, field)) for field in fields_of(Entry)))


def _described(properties: Mapping[str, Mapping[str, str]], field: msgspec.inspect.Field) -> str:
    return properties[field.encode_name]["description"]


def _checks() -> str:
    return _table(
        ("check", "rule", "where it is broken"), ((name, row.text, row.advice) for name, row in RULES.items())
    )


_PLACES: Final[dict[str, Callable[[Client], Seen]]] = {
    "before the headers": lambda client: client.before_headers,
    "after the headers of a plain answer": lambda client: client.before_first_token,
    "in mid-stream": lambda client: client.mid_stream,
}
_AGAIN: Final = {
    "plain:reset": "on a reused connection, after a `reset` before the headers",
    "plain:fin": "on a reused connection, after a `fin` before the headers",
    "stream:reset": "after a `reset` before the headers",
    "stream:fin": "after a `fin` before the headers",
    "stream:eof;after=3": "after `eof`, for ever",
}


def _versioned(client: Client, name: str, package: str) -> str:
    return f"{name} {client.version(package)}" if package else name


def _breaks() -> str:
    def error(names: Names) -> str:
        return " ← ".join(f"`{name}`" for name in names)

    rows, notes = [], ["\n"]
    for client in clients():
        name = _versioned(client, client.name, client.package)
        notes += [f"- {client.name}: {client.note}.\n"] if client.note else []
        for place, seen_at in _PLACES.items():
            seen = seen_at(client)
            rows.append((name, place, error(seen.reset), error(seen.fin) if seen.told_apart else "the same"))
            name = ""
    return _table(("client", "the answer breaks", "a `reset` is", "a `fin` is"), rows) + "".join(notes)


def _readers() -> str:
    rows = [
        (
            _versioned(client, client.name, client.package),
            _versioned(client, reader.reads, reader.package),
            ", ".join(f"`{framing}`" for framing in reader.breaks_on) or "–",
            "; ".join(_AGAIN[call] for call in reader.again) or "–",
        )
        for client in clients()
        for reader in client.readers
    ]
    return _table(("client", "streams read", "breaks on", "sends a call again by itself"), rows)


_LANGUAGES: Final = {"python": "Python", "node": "Node.js", "go": "Go"}


def _retries() -> str:
    rows, notes = [], ["\n"]
    for client in retriers():
        language = _LANGUAGES[client.environment]
        again = [f"`{failure}`" if failure.isdigit() else failure for failure in client.again]
        verdict = [f"FAIL `{rule}`" for rule in client.fails] + [f"WARN `{rule}`" for rule in client.warns]
        rows.append(
            (
                f"{client.name} ({language}: {client.versions()})",
                ", ".join(again) or "nothing",
                _more(client),
                _announced(client),
                ", ".join(verdict) or "PASS",
            )
        )
        notes += [f"- {client.name} ({language}): {client.note}.\n"] if client.note else []
    head = (
        "client",
        "sends again after",
        "how often more, after what waits of its own",
        "`Retry-After`",
        "the verdict",
    )
    return _table(head, rows) + "".join(notes)


def _more(client: Retrier) -> str:
    if not client.again:
        return "–"
    seen = f"{client.failures} and more" if client.more >= client.failures else str(client.more)
    shown = [f"{low:g}" if low == high else f"{low:g} to {high:g}" for low, high in client.waits_s]
    return f"{seen}; at once" if client.at_once else f"{seen}; {', '.join(shown)} s"


def _announced(client: Retrier) -> str:
    long = {"gives up": "; over two minutes: gives up", "waits": "; over two minutes: waits", "ignores": ""}
    return client.retry_after + long[client.long_retry_after] if client.retry_after else "–"


def _rules() -> str:
    def kind(rule: Rule) -> str:
        return "WARN at most" if rule.warns else "FAIL"

    rows = [(f"`{rule.name}`", rule.asks, kind(rule), rule.advice, rule.exercise) for rule in CLIENT_RULES]
    return _table(("rule", "right is", "else", "what to change", "how to exercise it"), rows)


def _clauses() -> str:
    rows = []
    for name, row in PACK.items():
        said = f"assumed: {row.clause.provenance.reason}" if row.clause.provenance.reason else "documented"
        knob = f" (switch: `{row.clause.knob}`)" if row.clause.knob else ""
        rows.append((f"`{name}`", row.clause.text, said + knob, f"cannot: {row.why_not}" if row.why_not else "yes"))
    return _table(("clause", "what the contract says", "who says so", "checked from outside"), rows)


def _check_rules() -> str:
    rows = [(f"`{rule.name}`", rule.at_worst, rule.asks, rule.advice) for rule in OWN_RULES]
    return _table(("rule", "at worst", "what it asks", "advice"), rows)


def _policies() -> str:
    rows = []
    for name, policy in POLICIES.items():
        if policy.max_tries == 1:
            rows.append((f"`{name}`", "", "1", "", "", ""))
            continue
        after = sorted(status for status in policy.statuses or () if status < 500)
        after_words = ["what the contract calls retryable"] if policy.statuses is None else [str(s) for s in after]
        if policy.statuses and max(policy.statuses) >= 500:
            after_words.append("5xx" if 501 in policy.statuses else "5xx but for 501")
        after_words += ["a lost connection"] * policy.resets + ["no answer in time"] * policy.timeouts
        rows.append(
            (
                f"`{name}`",
                policy.source or "ours",
                f"{policy.max_tries}",
                ", ".join(after_words),
                _waits(policy),
                _heeds(policy),
            )
        )
    return _table(("policy", "as", "tries at most", "after", "waits", "`Retry-After`"), rows)


def _waits(policy: Policy) -> str:
    if not policy.backoff_s:
        return "not at all"
    low, high = policy.jitter
    grows = "" if policy.factor == 1 else f", × {policy.factor:g} each time"
    cap = "" if policy.backoff_cap_s == inf or policy.factor == 1 else f", up to {policy.backoff_cap_s:g} s"
    spread = "" if low == high == 1 else f", times {low:g} to {high:g} by chance"
    more = f", and up to {policy.jitter_s:g} s more" if policy.jitter_s else ""
    end = f"; {policy.within_s:g} s in all" if policy.within_s < inf else ""
    return f"{policy.backoff_s:g} s{grows}{cap}{spread}{more}{end}"


def _heeds(policy: Policy) -> str:
    if not policy.longest_s or not (policy.statuses is None or 429 in policy.statuses):
        return "not heeded"
    without = "; without one gives up a 429" if policy.told else ""
    if policy.longest_s == inf:
        return ("waits that long, and the back-off" if policy.backs_off_too else "waits that long") + without
    longer = {
        "gives up": "gives up on longer ones",
        "backs off": "takes longer ones for none",
        "cuts short": "cuts longer ones short",
    }[policy.beyond]
    return f"waits up to {policy.longest_s:g} s; {longer}{without}"


PARTS: Final[dict[str, Callable[[], str]]] = {
    "faults": _faults,
    "stages": partial(_meanings, "stage", STAGE_MEANINGS.items()),
    "framings": partial(_meanings, "framing", FRAMING_MEANINGS.items()),
    "settings": _settings,
    "keys": _keys,
    "plans": _plans,
    "control": _control,
    "entry": _entry,
    "checks": _checks,
    "breaks": _breaks,
    "readers": _readers,
    "retries": _retries,
    "rules": _rules,
    "clauses": _clauses,
    "check_rules": _check_rules,
    "policies": _policies,
}


def main() -> None:
    """Make every page anew."""
    for page in DOCS.glob("*.md"):
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
