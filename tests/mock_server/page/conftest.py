"""The documentation page, parsed, and shown in a browser."""

from __future__ import annotations

import pytest
from selenium.webdriver import Chrome

from mock_server.page.document import documentation
from tests.mock_server.page.reading import ParsedPage, Visitor


@pytest.fixture(scope="session")
def page() -> ParsedPage:
    return ParsedPage(documentation().decode())


@pytest.fixture
def visitor(browser: Chrome) -> Visitor:
    return Visitor(browser)
