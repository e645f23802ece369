"""The documentation page, parsed, and shown in a browser."""

from __future__ import annotations

import pytest
from selenium.webdriver import Chrome

from mock_server.http.documentation import documentation
from tests.mock_server.docs.reading import ParsedPage, Visitor


@pytest.fixture(scope="session")
def page() -> ParsedPage:
    return ParsedPage(documentation().decode())


@pytest.fixture
def visitor(browser: Chrome) -> Visitor:
    return Visitor(browser)
