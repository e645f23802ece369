"""The documentation page, parsed, and shown in a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome

from mock_server.page.document import documentation
from tests.mock_server.page.reading import ParsedPage, Visitor
from tests.mock_server.page.room import Room
from tests.mock_server.wire import Mock


@pytest.fixture(scope="session")
def page() -> ParsedPage:
    return ParsedPage(documentation().decode())


@pytest.fixture
def visitor(browser: Chrome) -> Visitor:
    return Visitor(browser)


@pytest.fixture
def room(visitor: Visitor, mock: Mock) -> Iterator[Room]:
    yield Room(visitor, mock)
    visitor.browser.get("about:blank")  # nobody is to ask the mock any longer
