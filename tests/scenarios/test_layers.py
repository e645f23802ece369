from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "scenarios"
# A room imports from itself and from those before it.
ROOMS = (
    frozenset({"model"}),
    frozenset({"wire", "record"}),
    frozenset({"book"}),
    frozenset({"players"}),
    frozenset({"command"}),
)
# What `run` may use of the mock's, beyond its contract: to read and simulate a world it is about to start.
DOORS = ("mock_server.contract", "mock_server.exits", "mock_server.schema")
RUN_DOORS = (*DOORS, "mock_server.config", "mock_server.virtual", "mock_server.launch")
GEVENT = (
    "wire.connections",
    "players.locust",
    "command.plain",
    "command.plain_planner",
    "command.plain_worker",
    "locustfile",
)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): imports(path)
    for path in PACKAGE.rglob("*.py")
    if path.name != "__init__.py"
}


PURE = {name for name in MODULES if name.startswith("model.")} | {
    "book",
    "record.notes",
    *(f"wire.{name}" for name in ("sse", "reader", "contract", "timing")),
}


def room_of(name: str) -> int:
    room = name.partition(".")[0]
    return next((rank for rank, rooms in enumerate(ROOMS) if room in rooms), len(ROOMS))


def wrong(rule: Callable[[str, str], bool], names: Iterable[str] = MODULES) -> list[str]:
    """Every import that breaks a rule on (module, what it imports)."""
    return [f"{name} imports {module}" for name in names for module in MODULES[name] if rule(name, module)]


def test_other_packages_are_entered_only_by_their_shared_doors() -> None:
    def is_no_door(name: str, module: str) -> bool:
        if module.startswith("reports"):
            return not f"{module}.".startswith(("reports.sample.", "reports.gate."))
        doors = RUN_DOORS if name in ("command.run", "command.target", "players.virtual") else DOORS
        return module.startswith("mock_server") and not module.startswith(doors)

    assert wrong(is_no_door) == []


def test_only_the_adapter_knows_locust_and_gevent() -> None:
    adapters = {
        name
        for name, modules in MODULES.items()
        if {module.partition(".")[0] for module in modules} & {"locust", "gevent"}
    }
    assert adapters == {name for name in MODULES if f"{name}.".startswith(tuple(f"{module}." for module in GEVENT))}


def test_pure_modules_read_no_clock_file_or_socket() -> None:
    impure = {"time", "datetime", "os", "pathlib", "socket", "subprocess", "io"}
    assert wrong(lambda _, module: module.partition(".")[0] in impure, sorted(PURE)) == []


def test_a_room_imports_only_from_rooms_before_it() -> None:
    def is_later(name: str, module: str) -> bool:
        return module.startswith("scenarios.") and room_of(module.removeprefix("scenarios.")) > room_of(name)

    assert wrong(is_later) == []


def test_imports_make_no_circle() -> None:
    inside = {
        name: {module.removeprefix("scenarios.") for module in modules} & MODULES.keys()
        for name, modules in MODULES.items()
    }
    while inside:
        leaves = {name for name, needs in inside.items() if not needs & inside.keys()}
        assert leaves, f"a circle among {sorted(inside)}"
        inside = {name: needs for name, needs in inside.items() if name not in leaves}


@pytest.mark.parametrize("words", [("list",), ("list", "--json"), ("show", "smoke")])
def test_listing_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    code = "import sys; from scenarios.__main__ import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    said = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert said.stdout
    assert not {"locust", "gevent", "numpy", "pandas", "pyarrow", "psutil", "faker"} & set(said.stderr.split())
