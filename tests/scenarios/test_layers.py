from __future__ import annotations

import ast
import subprocess
import sys
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


@pytest.mark.parametrize("name", sorted(MODULES))
def test_other_packages_are_entered_only_by_their_shared_doors(name: str) -> None:
    for module in MODULES[name]:
        if module.startswith("reports"):
            assert f"{module}.".startswith(("reports.sample.", "reports.gate."))
        if module.startswith("mock_server"):
            assert module.startswith(RUN_DOORS if name in ("command.run", "command.target") else DOORS)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_only_the_adapter_knows_locust_and_gevent(name: str) -> None:
    roots = {module.partition(".")[0] for module in MODULES[name]}
    assert bool(roots & {"locust", "gevent"}) == f"{name}.".startswith(tuple(f"{module}." for module in GEVENT))


@pytest.mark.parametrize("name", sorted(PURE))
def test_pure_modules_read_no_clock_file_or_socket(name: str) -> None:
    roots = {module.partition(".")[0] for module in MODULES[name]}
    assert not roots & {"time", "datetime", "os", "pathlib", "socket", "subprocess", "io"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_room_imports_only_from_rooms_before_it(name: str) -> None:
    ours = {module.removeprefix("scenarios.") for module in MODULES[name] if module.startswith("scenarios.")}
    assert [module for module in ours if room_of(module) > room_of(name)] == []


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
