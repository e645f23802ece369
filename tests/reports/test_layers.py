"""Imports point one way: sample, frame, metrics, gates, summary, render, command."""

import ast
from pathlib import Path

import reports

ROOT = Path(reports.__file__).parent
ORDER = (
    "gate",
    "sample",
    "problem",
    "manifest",
    "values",
    "dependence",
    "columns",
    "stats",
    "percentiles",
    "rates",
    "frame",
    "measured",
    "throughput",
    "metrics",
    "ledger",
    "rules",
    "health",
    "coherence",
    "lateness",
    "generator",
    "mock",
    "validity",
    "tables",
    "curves",
    "format",
    "gates",
    "verdict",
    "summary",
    "render.svg",
    "render.axes",
    "render.figures",
    "render.plots",
    "render.text",
    "render.rows",
    "render.json",
    "render.junit",
    "render.markdown",
    "render.html",
    "output",
    "build",
    "__main__",
)
ABOVE_RENDERING = {
    *("dependence", "columns", "stats", "percentiles", "rates", "frame", "measured", "throughput", "ledger"),
    *(
        "rules",
        "health",
        "coherence",
        "lateness",
        "generator",
        "mock",
        "validity",
        "tables",
        "curves",
        "gates",
        "verdict",
        "summary",
    ),
}


def modules() -> dict[str, set[str]]:
    """Each module of the package with everything it imports, by full name."""
    found = {}
    for path in ROOT.rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        imported: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        found[name] = imported
    return {name: imported for name, imported in found.items() if not name.endswith("__init__")}


def test_every_module_has_its_place_and_imports_only_what_stands_before_it() -> None:
    found = modules()
    assert set(found) == set(ORDER)
    for name, imported in found.items():
        own = {other.removeprefix("reports.") for other in imported if other.startswith("reports.")} & set(ORDER)
        later = own & set(ORDER[ORDER.index(name) :])
        assert not later, f"{name} imports {later}"


def test_renderers_do_not_reach_for_samples_or_statistics() -> None:
    for name, imported in modules().items():
        if name.startswith("render."):
            assert not {other.removeprefix("reports.") for other in imported} & ABOVE_RENDERING, name
            assert not imported & {"numpy", "pandas", "scipy"}, name


def test_reports_stands_apart_from_load_driver_server_and_scenarios() -> None:
    banned = {"locust", "gevent", "starlette", "uvicorn", "scenarios", "mock_server"}
    for name, imported in modules().items():
        others = {other for other in imported if not other.startswith("mock_server.exits")}
        assert not {other.split(".")[0] for other in others} & banned, name
