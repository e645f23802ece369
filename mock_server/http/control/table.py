"""The endpoints of the control plane: its routes, OpenAPI document and table in the documentation derive from here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Literal

from msgspec import Struct
from starlette.responses import Response

from mock_server.core.account import AccountView
from mock_server.core.canned import AnswerRule
from mock_server.core.rules import FaultRule
from mock_server.http.context import Context
from mock_server.http.control import accounts, faults, incidents, journal, judging, metrics, providers, steering
from mock_server.http.control.asked import Asked, Nothing
from mock_server.judge.coverage import Coverage
from mock_server.judge.verdict import Verdict

PREFIX: Final = "/__mock__"

Reach = Literal["calls without a test id", "all calls", "the mock as a whole"]
"""What an operation is about where no test id is given; the mock as a whole knows no tests."""
Said = Struct | Response
Handler = Callable[[Context, Asked], Said | Awaitable[Said]]


class Operation(Struct, frozen=True):
    """One method of one path; what it means is said where it is handled. ``answer`` is None where it is no JSON.

    ``without_test`` is what it is about where no test id is given.
    """

    method: str
    path: str
    handler: Handler
    answer: type[Struct] | None
    body: type[Struct] | None = None
    query: type[Struct] = Nothing
    shown: str = ""
    without_test: Reach = "calls without a test id"

    @property
    def name(self) -> str:
        """A word for machines."""
        return str(getattr(self.handler, "__name__", ""))

    @property
    def meaning(self) -> str:
        """One sentence."""
        return (self.handler.__doc__ or "").strip().split("\n")[0]


_FAULT: Final = '{"match": {"test": …, "text": …, …}, "code": 502}, or "fault": "reset;stage=mid_stream;after=3"'

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation("GET", "/health", steering.show_health, steering.Health, without_test="the mock as a whole"),
    Operation(
        "GET", "/requests", journal.list_requests, journal.Requests, query=journal.ListQuery, without_test="all calls"
    ),
    Operation(
        "GET",
        "/requests/count",
        journal.count_requests,
        journal.Count,
        query=journal.RequestFilter,
        without_test="all calls",
    ),
    Operation(
        "GET",
        "/requests/wait",
        journal.wait_for_requests,
        journal.Waited,
        query=journal.WaitQuery,
        without_test="all calls",
    ),
    Operation(
        "GET", "/requests/{request_id}/route", journal.show_route, journal.RouteView, without_test="the mock as a whole"
    ),
    Operation("GET", "/verdict", judging.show_verdict, Verdict, query=judging.VerdictQuery, without_test="all calls"),
    Operation(
        "GET", "/coverage", judging.show_coverage, Coverage, query=judging.CoverageQuery, without_test="all calls"
    ),
    Operation(
        "POST",
        "/outcomes/{request_id}",
        judging.attest_outcome,
        judging.Attested,
        judging.Outcome,
        shown='{"outcome": "ok"}, or "error", "partial", "killed"',
        without_test="the mock as a whole",
    ),
    Operation("GET", "/faults", faults.list_faults, faults.Faults, without_test="all calls"),
    Operation("POST", "/faults", faults.queue_fault, faults.FaultView, FaultRule, shown=_FAULT),
    Operation("DELETE", "/faults", faults.clear_faults, faults.Cleared, without_test="all calls"),
    Operation("GET", "/answers", faults.list_answers, faults.Answers, without_test="all calls"),
    Operation(
        "POST",
        "/answers",
        faults.queue_answer,
        faults.AnswerView,
        AnswerRule,
        shown='{"match": {"contains": …}, "replies": [{"text": …}, …]}',
    ),
    Operation("DELETE", "/answers", faults.clear_answers, faults.Cleared, without_test="all calls"),
    Operation("GET", "/providers", providers.list_providers, providers.Providers),
    Operation("GET", "/providers/{name:path}", providers.show_provider, providers.ProviderView),
    Operation(
        "PUT",
        "/providers/{name:path}",
        providers.change_provider,
        providers.ProviderView,
        providers.ProviderChange,
        shown='{"error_rate": 0.5, "ttft_ms": 900, …} or {"reset": true}',
    ),
    Operation("GET", "/incidents", incidents.list_incidents, incidents.Incidents),
    Operation(
        "POST",
        "/incidents",
        incidents.start_incident,
        incidents.IncidentView,
        incidents.IncidentStart,
        shown='{"kind": "outage", "for": 30, "match": "openai", …}',
    ),
    Operation("DELETE", "/incidents", incidents.end_incidents, incidents.Ended),
    Operation("DELETE", "/incidents/{number}", incidents.end_incident, incidents.Ended),
    Operation("GET", "/accounts/{key}", accounts.show_account, AccountView),
    Operation(
        "PUT",
        "/accounts/{key}",
        accounts.change_account,
        AccountView,
        accounts.AccountChange,
        shown='{"balance": 100, "plan": "free"}',
    ),
    Operation("GET", "/ledger", accounts.show_ledger, accounts.LedgerView, without_test="all calls"),
    Operation("GET", "/clock", steering.show_clock, steering.ClockView),
    Operation(
        "POST",
        "/clock",
        steering.steer_clock,
        steering.ClockView,
        steering.ClockChange,
        shown='{"freeze": true}, {"advance": 60}, {"resume": true} or {"auto": true}',
    ),
    Operation("POST", "/reset", steering.reset, steering.ResetView, Nothing, without_test="all calls"),
    Operation(
        "GET", "/load", steering.show_load, steering.Load, query=steering.LoadQuery, without_test="the mock as a whole"
    ),
    Operation("GET", "/metrics", metrics.show_metrics, None, without_test="the mock as a whole"),
)
