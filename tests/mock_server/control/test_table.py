"""The endpoints' table, and that everything made from it is complete."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import msgspec

from mock_server.contract.endpoints import LLM_AUTO
from mock_server.http.control.document import control_openapi
from mock_server.http.control.table import OPERATIONS, PREFIX, Operation
from tests.mock_server.control.conftest import Plane
from tests.mock_server.wire import assert_refused

DESIGNED = """
health requests requests/count requests/wait requests/{request_id}/route faults answers providers providers/{name}
incidents accounts/{key} ledger clock reset load metrics verdict coverage outcomes/{request_id}
"""
ROOT = Path(__file__).parents[3]


def path_of(endpoint: Operation) -> str:
    return endpoint.path.lstrip("/").replace(":path", "")


def concrete(endpoint: Operation) -> str:
    """A path of something there is."""
    named = {"name": "groq", "key": "sk-test-free", "request_id": "req_0000000", "number": "1"}
    return path_of(endpoint).format(**named)


def test_everything_designed_is_there() -> None:
    assert set(DESIGNED.split()) <= {path_of(endpoint) for endpoint in OPERATIONS}


def test_the_document_holds_every_endpoint_and_resolves() -> None:
    document = control_openapi("1")
    described = {(m.upper(), path) for path, operations in document["paths"].items() for m in operations}
    assert described == {(e.method, f"{PREFIX}/{path_of(e)}") for e in OPERATIONS}
    text = msgspec.json.encode(document).decode()
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert references == references & set(document["components"]["schemas"])
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(OPERATIONS)
    assert all(operation["summary"].endswith(".") for operation in operations)


def test_the_document_is_served(plane: Plane) -> None:
    served = plane.get("openapi.json")
    control = msgspec.json.decode(msgspec.json.encode(control_openapi("1")["paths"]))
    assert {path: served["paths"][path] for path in control} == control
    assert set(served["paths"]) - set(control) == {LLM_AUTO.path}


def test_the_documentation_lists_every_endpoint() -> None:
    page = (ROOT / "docs" / "contract-testing.md").read_text()
    assert [e for e in OPERATIONS if f"| `{e.method} {PREFIX}/{path_of(e)}` |" not in page] == []


KINDS = (None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx")


def test_what_takes_a_body_wants_it_declared_as_json(plane: Plane) -> None:
    for endpoint, kind in product((e for e in OPERATIONS if e.body is not None), KINDS):
        headers = {} if kind is None else {"Content-Type": kind}
        path = f"{PREFIX}/{concrete(endpoint)}"
        answer = plane.mock.http.request(endpoint.method, path, content=b'{"freeze": true}', headers=headers)
        assert_refused(answer, 415, "UNSUPPORTED_MEDIA_TYPE")
    assert not plane.get("clock")["frozen"]


def test_nothing_is_silently_ignored(plane: Plane) -> None:
    for endpoint in OPERATIONS:
        body: dict[str, str] | None = None if endpoint.body is None else {}
        query = plane.ask(endpoint.method, concrete(endpoint), body, colour="red")
        assert_refused(query, 400, "INVALID_MOCK_DIRECTIVE", says="colour")
        unknown = plane.ask(endpoint.method, concrete(endpoint), {"colour": "red"})
        says = "takes no body here" if endpoint.body is None else "colour: unknown key"
        assert_refused(unknown, 400, "INVALID_MOCK_DIRECTIVE", says=says)
        headers = {"X-Mock-Test": "a b", "Content-Type": "application/json"}
        test = plane.mock.http.request(endpoint.method, f"{PREFIX}/{concrete(endpoint)}", headers=headers)
        assert_refused(test, 400, "INVALID_MOCK_DIRECTIVE", says="X-Mock-Test must be 1 to 128 visible ASCII")


def test_other_methods_are_refused_with_those_allowed(plane: Plane) -> None:
    paths = {endpoint.path: endpoint for endpoint in OPERATIONS}
    for path, endpoint in paths.items():
        allowed = {e.method for e in OPERATIONS if e.path == path}
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH"} - allowed:
            answer = plane.ask(method, concrete(endpoint), {})
            assert_refused(answer, 405, "METHOD_NOT_ALLOWED")
            assert set(answer.headers["allow"].split(", ")) - {"HEAD"} == allowed, path
