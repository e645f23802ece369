"""The rules of the house that a reader cannot see in any one file, checked on the source itself.

`mock_server`: contract <- core <- edge <- judge <- page, config, impossible, virtual <- http <- kit <- __main__, an
arrow meaning "is imported by".
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("mock_server", "scenarios", "reports", "tests", "benchmarks", "examples", "zoo")
FILE_LINES = 350
FUNCTION_LINES = 60

# A layer imports from itself and from those before it.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"contract", "exits", "launch"}),
    frozenset({"core"}),
    frozenset({"edge"}),
    frozenset({"judge"}),
    frozenset({"clock", "config", "impossible", "page", "schema", "virtual"}),
    frozenset({"http"}),
    frozenset({"kit"}),
    frozenset({"__main__"}),
)

# Third-party packages by the part of the tree that may use them; the longest matching prefix decides.
THIRD_PARTY: dict[str, frozenset[str]] = {
    "mock_server": frozenset({"msgspec"}),
    "mock_server.core.text": frozenset({"msgspec", "faker"}),
    "mock_server.http": frozenset({"msgspec", "starlette", "uvicorn", "httptools", "uvloop"}),
    "mock_server.http.control.metrics": frozenset({"starlette", "prometheus_client"}),
    "mock_server.kit.conform.wire": frozenset({"msgspec", "httptools"}),
    "mock_server.kit.pytest_plugin": frozenset({"msgspec", "pytest", "starlette"}),
    "mock_server.__main__": frozenset({"msgspec", "starlette", "uvicorn", "uvloop"}),
}

# Clocks, dice and the world outside: what a pure core takes as arguments instead.
IMPURE_MODULES = frozenset({"asyncio", "os", "random", "secrets", "socket", "threading", "time", "uuid"})
OUTSIDE = frozenset({"sys.argv", "os.environ", "os.getenv", "input", "open"})
FILE_METHODS = frozenset({"cwd", "home", "read_bytes", "read_text", "write_bytes", "write_text"})
READERS_OF_THE_OUTSIDE = {
    "mock_server.__main__": "the command line",
    "mock_server.launch": "passes the environment on to the process it starts",
    "mock_server.kit.pytest_plugin.servers": "passes the environment on to the mocks it starts, but for a token",
    "mock_server.config": "reads world files and the presets shipped in the package",
    "mock_server.kit.conform.command": "writes the files that were asked for",
    "mock_server.kit.check.command": "reads the plan",
    "mock_server.page.document": "reads the style and the script shipped in the package",
    "mock_server.page.room.document": "reads the style and the scripts shipped in the package",
}

# Only these modules of `scenarios` may know Locust: importing it patches the standard library of the whole process.
LOCUST = frozenset({"locust", "gevent", "geventhttpclient"})
LOCUST_ADAPTERS = (
    "scenarios.wire.connections",
    "scenarios.players.locust",
    "scenarios.command.plain",
    "scenarios.command.plain_planner",
    "scenarios.command.plain_worker",
    "scenarios.locustfile",
)
SCENARIOS_MAY_IMPORT = (
    "scenarios",
    "reports.sample",
    "reports.gate",
    "mock_server.contract",
    "mock_server.exits",
    "mock_server.schema",
)
RUNNERS = ("scenarios.command.run", "scenarios.command.target", "scenarios.players.virtual")
RUN_MAY_IMPORT = (*SCENARIOS_MAY_IMPORT, "mock_server.virtual", "mock_server.config", "mock_server.launch")
NOT_IN_REPORTS = frozenset({*LOCUST, "starlette", "uvicorn", "scenarios"})
REPORTS_MAY_IMPORT = ("reports", "mock_server.contract", "mock_server.exits")

# Seeded generators of a module's own, by module and what it imports, with the reason for each.
OWN_DICE = {("mock_server.core.text", "random.Random"): "builds the corpus once, from its seed alone"}

# Modules that may import inside a function, with the reason for each.
LATE_IMPORTS = {
    "mock_server.__main__": "listing worlds must not pay for the server and the corpus",
    "mock_server.kit.pytest_plugin": "pytest loads it in every run, and only a test that asks for a mock is to pay",
    "reports.__main__": "usage errors must not wait for pandas, and an interrupt is quiet from the first moment",
    "scenarios.__main__": "an interrupt is quiet from the first moment, while imports go on, too",
}


def module_name(path: Path) -> str:
    """Dotted name of a source file below the root; a package goes by its own name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def sources(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for path in files(*folders):
        yield module_name(path), parsed(path)


def files(*folders: str) -> list[Path]:
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if "node_modules" not in path.parts)


def imported(tree: ast.AST) -> Iterator[str]:
    """Every imported module in dotted form; `from a.b import c` gives `a.b.c`, since c may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def top(name: str) -> str:
    return name.partition(".")[0]


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def layer_of(name: str) -> int | None:
    part = name.split(".")[1] if "." in name else ""
    return next((rank for rank, layer in enumerate(LAYERS) if part in layer), None)


def third_party_allowed(module: str) -> frozenset[str]:
    prefix = max((prefix for prefix in THIRD_PARTY if within(module, prefix)), key=len)
    return THIRD_PARTY[prefix]


def upward(module: str, tree: ast.AST) -> list[str]:
    """Imports by a `mock_server` module of a layer above its own."""
    own = layer_of(module)
    ours = [name for name in imported(tree) if within(name, "mock_server") and layer_of(name) is not None]
    return [f"{module} imports {name}" for name in ours if own is not None and (layer_of(name) or 0) > own]


def foreign(module: str, tree: ast.AST) -> list[str]:
    """Imports by a `mock_server` module of a package it is not allowed."""
    allowed = third_party_allowed(module) | sys.stdlib_module_names | {"mock_server"}
    return [f"{module} imports {name}" for name in imported(tree) if top(name) not in allowed]


def impure(module: str, tree: ast.AST) -> list[str]:
    """Imports of clocks, dice and I/O, and wall-clock reads through `datetime`."""
    found = [
        f"{module} imports {name}"
        for name in imported(tree)
        if top(name) in IMPURE_MODULES and (module, name) not in OWN_DICE
    ]
    return found + [
        f"{module}:{node.lineno} reads a clock: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in {"now", "utcnow", "today"}
        and ast.unparse(node.value).split(".")[-1] in {"datetime", "date"}
    ]


def outside_reads(module: str, tree: ast.AST) -> list[str]:
    """Uses of argv, environment and files, by how they are spelled."""
    suspects = FILE_METHODS | {path.rpartition(".")[2] for path in OUTSIDE}
    used = ((node, _last_name(node)) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name))
    return [
        f"{module}:{node.lineno} uses {ast.unparse(node)}"
        for node, name in used
        if name in suspects
        and (ast.unparse(node) in OUTSIDE or (isinstance(node, ast.Attribute) and name in FILE_METHODS))
    ]


def _last_name(node: ast.Attribute | ast.Name) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id


def late_imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from (name for statement in node.body for name in imported(statement))


def long_functions(module: str, tree: ast.AST) -> list[str]:
    return [
        f"{module}:{node.lineno} {node.name} has {lines} lines"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]


def sleeps(module: str, tree: ast.AST) -> list[str]:
    found = [f"{module} imports {name}" for name in imported(tree) if name == "time.sleep"]
    return found + [
        f"{module}:{node.lineno} sleeps"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "sleep" and ast.unparse(node) == "time.sleep"
    ]


def test_the_mock_imports_only_downward() -> None:
    assert [found for module, tree in sources("mock_server") for found in upward(module, tree)] == []


def test_every_module_of_the_mock_has_a_layer() -> None:
    modules = [module for module, _ in sources("mock_server") if module != "mock_server"]
    assert [module for module in modules if layer_of(module) is None] == []


def test_the_mock_uses_third_party_packages_only_where_they_belong() -> None:
    assert [found for module, tree in sources("mock_server") for found in foreign(module, tree)] == []


def test_what_decides_reads_no_clock_and_rolls_no_shared_dice() -> None:
    pure = sources("mock_server/contract", "mock_server/core", "mock_server/edge", "mock_server/judge")
    assert [found for module, tree in pure for found in impure(module, tree)] == []


def test_only_the_command_line_and_the_settings_read_the_outside_world() -> None:
    others = ((module, tree) for module, tree in sources("mock_server") if module not in READERS_OF_THE_OUTSIDE)
    assert [found for module, tree in others for found in outside_reads(module, tree)] == []


def test_scenarios_know_only_the_schema_and_the_contract() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, tree in sources("scenarios")
        for name in imported(tree)
        if top(name) in {"scenarios", "reports", "mock_server", "tests"}
        and not any(within(name, ok) for ok in (RUN_MAY_IMPORT if module in RUNNERS else SCENARIOS_MAY_IMPORT))
    ]
    assert wrong == []


def test_what_a_simulated_client_does_is_decided_without_locust() -> None:
    others = (
        (m, tree) for m, tree in sources("scenarios") if not any(within(m, adapter) for adapter in LOCUST_ADAPTERS)
    )
    assert [f"{m} imports {name}" for m, tree in others for name in imported(tree) if top(name) in LOCUST] == []


def test_reports_know_neither_load_generator_nor_server() -> None:
    reports = sources("reports")
    assert [
        f"{module} imports {name}" for module, tree in reports for name in imported(tree) if top(name) in NOT_IN_REPORTS
    ] == []


def test_reports_enter_the_mock_only_by_its_facts() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, tree in sources("reports")
        for name in imported(tree)
        if top(name) in {"mock_server", "reports"} and not any(within(name, door) for door in REPORTS_MAY_IMPORT)
    ]
    assert wrong == []


def test_nothing_imports_the_scenarios_or_the_tests() -> None:
    others = sources("mock_server", "reports")
    assert [m for m, tree in others for name in imported(tree) if top(name) in {"scenarios", "tests"}] == []


def test_tests_run_without_patching_their_own_process() -> None:
    # Gevent by itself patches nothing.
    patching = LOCUST - {"gevent"}
    found = [
        f"{module} imports {name}"
        for module, tree in sources("tests")
        for name in imported(tree)
        if top(name) in patching or within(name, "gevent.monkey")
    ]
    assert found == []


def test_imports_stand_at_the_top_except_for_listed_reasons() -> None:
    packages = sources("mock_server", "scenarios", "reports")
    found = {module: list(late_imports(tree)) for module, tree in packages}
    assert {module: names for module, names in found.items() if names and module not in LATE_IMPORTS} == {}
    assert [module for module in LATE_IMPORTS if not found[module]] == []  # a reason nobody needs any more


def test_files_are_about_one_thing() -> None:
    lengths = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in files(*FOLDERS)}
    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES} == {}


def test_functions_fit_a_screen() -> None:
    assert [found for module, tree in sources(*FOLDERS) for found in long_functions(module, tree)] == []


def test_tests_never_sleep() -> None:
    assert [found for module, tree in sources("tests") for found in sleeps(module, tree)] == []


@pytest.mark.parametrize(
    ("check", "module", "source"),
    [
        (upward, "mock_server.contract.errors", "from mock_server.core import ledger"),
        (upward, "mock_server.core.session", "import mock_server.http.app"),
        (upward, "mock_server.edge.script", "from mock_server.clock import SimClock"),
        (foreign, "mock_server.core.session", "from starlette.routing import Route"),
        (foreign, "mock_server.http.app", "import locust"),
        (impure, "mock_server.core.dice", "import random"),
        (impure, "mock_server.core.limits", "from time import monotonic"),
        (impure, "mock_server.core.limits", "from datetime import datetime\nat = datetime.now()"),
        (outside_reads, "mock_server.http.app", "import os\nkey = os.environ['KEY']"),
        (outside_reads, "mock_server.http.app", "world = path.read_text()"),
        (outside_reads, "mock_server.http.app", "world = open('w.toml')"),
        (long_functions, "tests.test_x", "def f():\n" + "    x = 1\n" * FUNCTION_LINES),
        (sleeps, "tests.test_x", "import time\ntime.sleep(1)"),
        (sleeps, "tests.test_x", "from time import sleep"),
    ],
)
def test_the_checks_see_what_they_forbid(check: Callable[[str, ast.AST], list[str]], module: str, source: str) -> None:
    assert check(module, ast.parse(source)) != []


def test_the_checks_see_imports_inside_functions() -> None:
    tree = ast.parse("import a\ndef f():\n    if True:\n        from b import c\n")
    assert list(late_imports(tree)) == ["b.c"]
