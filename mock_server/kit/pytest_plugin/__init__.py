"""A pytest plugin: `llm_mock`, a mock on the wire for each test, and `llm_mock_app`, the same without a socket.

pytest loads it by its entry point in every run of a project that has this package installed, so all that costs time is
imported when a test first asks for a mock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from mock_server.kit.pytest_plugin.in_process import LlmMockApp, Rooms
    from mock_server.kit.pytest_plugin.mock import LlmMock
    from mock_server.kit.pytest_plugin.servers import Servers

M = TypeVar("M", bound="LlmMock")

_USED = pytest.StashKey["list[LlmMock]"]()
_MARKER = (
    "llm_world(name, *, seed=0, time_scale=1.0): the world that llm_mock and llm_mock_app simulate, a preset's name or"
    " a TOML file beside the test's; 'instant' without it"
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


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
    if report.failed:
        report.sections += [mock.section() for mock in item.stash.get(_USED, [])]


def _used(request: pytest.FixtureRequest, mock: M) -> M:
    """The mock, as good as new, noted for the report of its test."""
    mock.reset()
    request.node.stash.setdefault(_USED, []).append(mock)
    return mock
