"""The control room as somebody uses it."""

from __future__ import annotations

from mock_server.http.control.table import PREFIX
from tests.mock_server.page.reading import Visitor
from tests.mock_server.wire import Mock


class Room:
    """The control room of a mock, and somebody who looks at it."""

    def __init__(self, visitor: Visitor, mock: Mock) -> None:
        self.visitor = visitor
        self.mock = mock

    def enter(self, width: int = 1280, scheme: str = "light", prefix: str = "") -> None:
        self.visitor.open(f"{self.mock.url}{prefix}{PREFIX}/", width, scheme)

    def live(self) -> bool:
        return self.visitor.read("#state-text") == "Live"

    def listed(self, field: str = "status") -> list[str]:
        """A field of every request listed, the newest first."""
        script = "return [...document.querySelectorAll(arguments[0])].map(each => each.textContent)"
        return list(self.visitor.run(script, f'#rows td[data-field="{field}"]'))

    def shows(self, *statuses: str) -> None:
        self.visitor.wait(lambda: self.listed() == list(statuses))

    def says(self, selector: str, words: str) -> None:
        """Wait until these words are there."""
        self.visitor.wait(lambda: words in self.visitor.read(selector))

    def moves(self, selector: str, told: str) -> None:
        """Wait until something else than it told is there."""
        self.visitor.wait(lambda: self.visitor.read(selector) != told)

    def choose(self, tab: str) -> None:
        self.visitor.find(f"#tab-{tab}").click()

    def fill(self, ident: str, value: str) -> None:
        """Put a value into a field as somebody who types or chooses does."""
        script = """
        const field = document.getElementById(arguments[0]);
        field.closest("details")?.setAttribute("open", "");
        field.value = arguments[1];
        if (field.value !== arguments[1]) throw new Error(`${arguments[0]} has no ${arguments[1]}`);
        field.dispatchEvent(new Event("input", { bubbles: true }));
        """
        self.visitor.run(script, ident, value)

    def about(self, test: str) -> None:
        self.fill("test", test)
        self.visitor.find("#test-form button").click()

    def filter(self, **wanted: str) -> None:
        for name, value in wanted.items():
            self.fill(f"filter-{name}", value)
        self.visitor.find("#filters [type=submit]").click()
