"""A pytest plugin: `llm_mock`, a mock on the wire for each test, and `llm_mock_app`, the same without a socket.

pytest loads it by its entry point in every run of a project that has this package installed, so all that costs time is
imported when a test first asks for a mock.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from mock_server.kit.pytest_plugin.in_process import LlmMockApp, Rooms
    from mock_server.kit.pytest_plugin.mock import LlmMock
    from mock_server.kit.pytest_plugin.servers import Servers
    from mock_server.kit.pytest_plugin.suite import SuiteCoverage

M = TypeVar("M", bound="LlmMock")

_USED = pytest.StashKey["list[LlmMock]"]()
_PASSED = pytest.StashKey[bool]()
_SUITE = pytest.StashKey["SuiteCoverage"]()
_COVERAGE = ("--llm-coverage", "--llm-coverage-html", "--llm-coverage-fail-under", "--llm-coverage-without")
_MARKER = (
    "llm_world(name, *, seed=0, time_scale=1.0): the world that llm_mock and llm_mock_app simulate, a preset's name or"
    " a TOML file beside the test's; 'instant' without it"
)


class UnusedFaultWarning(pytest.PytestWarning):
    """A test passed, though what it queued with `fail_next` never struck."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options for the coverage of a whole run; each of them asks for it."""
    group = parser.getgroup("llm_mock", "the mock LLM gateway")
    group.addoption(_COVERAGE[0], action="store_true", help="say which errors and faults all tests together have met")
    group.addoption(_COVERAGE[1], metavar="FILE", help="write that as one HTML page")
    group.addoption(_COVERAGE[2], type=float, metavar="PERCENT", help="fail where less was met")
    group.addoption(
        _COVERAGE[3], action="append", default=[], choices=["streaming"], help="what the client does without"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and begin to count what tests meet if asked to."""
    config.addinivalue_line("markers", _MARKER)
    if any(config.getoption(name) not in (None, False, []) for name in _COVERAGE):
        from mock_server.kit.pytest_plugin.suite import asked_for

        config.stash[_SUITE] = asked_for(config)


@pytest.fixture(scope="session")
def _llm_mock_servers() -> Iterator[Servers]:
    """The running mocks of this process, one for each world that a test asked for."""
    from mock_server.kit.pytest_plugin.servers import Servers

    servers = Servers()
    try:
        yield servers
    finally:
        servers.stop()


@pytest.fixture(scope="session")
def _llm_mock_rooms() -> Rooms:
    """The mocks in this process, one for each world that a test asked for."""
    from mock_server.kit.pytest_plugin.in_process import Rooms

    return Rooms()


@pytest.fixture
def llm_mock(request: pytest.FixtureRequest, _llm_mock_servers: Servers) -> LlmMock:
    """A mock of the LLM gateway on a port of this machine, as good as new, with a test id of this test's own."""
    from mock_server.kit.pytest_plugin.mock import LlmMock
    from mock_server.kit.pytest_plugin.servers import CannotStartError, chosen_world, own_test_id

    try:
        plane = _llm_mock_servers.running(chosen_world(request.node))
    except CannotStartError as error:
        raise pytest.fail.Exception(f"llm_mock: {error}", pytrace=False) from None
    return _used(request, LlmMock(plane, own_test_id(request.node.nodeid)))


@pytest.fixture
def llm_mock_app(request: pytest.FixtureRequest, _llm_mock_rooms: Rooms) -> LlmMockApp:
    """A mock of the LLM gateway as an ASGI application in this process, for `httpx.ASGITransport(app=llm_mock_app)`."""
    from mock_server.kit.pytest_plugin.in_process import LlmMockApp
    from mock_server.kit.pytest_plugin.servers import CannotStartError, chosen_world, own_test_id

    try:
        room = _llm_mock_rooms.room(chosen_world(request.node))
    except CannotStartError as error:
        raise pytest.fail.Exception(f"llm_mock_app: {error}", pytrace=False) from None
    return _used(request, LlmMockApp(room, own_test_id(request.node.nodeid)))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Attach to the report of a failure what the mock saw of the test."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()  # type: ignore[attr-defined] # pluggy sends its result in
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    if report.failed:
        report.sections += [mock.section() for mock in item.stash.get(_USED, [])]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what the tests of a worker of pytest-xdist have met."""
    suite = node.config.stash.get(_SUITE, None)
    if suite is not None:
        suite.take(getattr(node, "workeroutput", {}).get("llm_coverage"))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand over what was met, or write it down and fail the run where it is not enough."""
    suite = session.config.stash.get(_SUITE, None)
    if suite is None:
        return
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["llm_coverage"] = suite.part()
    elif not suite.close() and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what was met."""
    suite = config.stash.get(_SUITE, None)
    if suite is not None:
        terminalreporter.section("llm_mock: fault coverage")
        for line in suite.lines():
            terminalreporter.write_line(line)


def _used(request: pytest.FixtureRequest, mock: M) -> M:
    """The mock, as good as new, noted for the report of its test."""
    mock.reset()
    request.node.stash.setdefault(_USED, []).append(mock)
    suite = request.config.stash.get(_SUITE, None)
    if suite is not None:
        mock.before_reset = partial(suite.note, mock)
    request.addfinalizer(partial(_over, request.node, mock, suite))
    return mock


def _over(node: pytest.Item, mock: LlmMock, suite: SuiteCoverage | None) -> None:
    """A test has ended: count what it met, and say what it queued in vain."""
    if suite is not None:
        suite.note(mock)
    if node.stash.get(_PASSED, False) and (unused := mock.never_struck()):
        node.warn(UnusedFaultWarning(f"{node.name} passed, but what it queued never struck: {', '.join(unused)}"))
