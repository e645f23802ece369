"""Incidents that are started and ended at will."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from mock_server.core.world import MOST_SLOW, Incident
from mock_server.http.context import Context
from mock_server.http.control.asked import Asked, mistake, not_found
from mock_server.impossible import never_happens

MAX_FOR_S = 86_400


class IncidentStart(Struct, frozen=True, forbid_unknown_fields=True):
    """An incident that begins now. Its time limit, in simulated seconds, heals it should the test die."""

    kind: Annotated[
        Literal["outage", "brownout", "rate_limited"],
        Meta(description="outage: everything fails; brownout: slower, more errors; rate_limited: limited upstream"),
    ]
    lasts: Annotated[float, Meta(gt=0, le=MAX_FOR_S, description="simulated seconds it lasts")] = field(name="for")
    match: Annotated[str, Meta(description="glob on provider or provider/model")] = "*"
    rate: Annotated[float, Meta(ge=0, le=1, description="share of attempts that fail")] = 1.0
    slow: Annotated[float, Meta(ge=1, le=MOST_SLOW, description="factor on latency")] = 1.0
    announced: Annotated[bool, Meta(description="whether the gateway knows, and ranks the models last")] = False
    ramp: Annotated[
        float, Meta(ge=0, le=MAX_FOR_S, description="seconds after its end over which its effect fades")
    ] = 0.0


class IncidentView(Struct, frozen=True):
    """An incident: its number (null for the world's own), how strongly it acts, and for how many seconds still."""

    id: int | None
    incident: Incident
    strength: float
    left_s: float | None


class Incidents(Struct, frozen=True):
    """Incidents in order of precedence: those started first, then the world's."""

    incidents: list[IncidentView]


class Ended(Struct, frozen=True):
    """How many were ended."""

    ended: int


def list_incidents(context: Context, asked: Asked) -> Incidents:
    """What goes on, went on or is to come, as the test sees it."""
    scope, now = context.scope(asked.test), context.now(asked.test)
    numbered = [*scope.started.items(), *((None, incident) for incident in scope.world.incidents)]
    return Incidents([_view(number, incident, now - scope.begun) for number, incident in numbered])


def start_incident(context: Context, asked: Asked) -> IncidentView:
    """Start an incident now, for the test; without a test id, for all calls that have none."""
    scope, now, wanted = context.scope(asked.test), context.now(asked.test), asked.body
    incident = Incident(
        wanted.kind, wanted.match, now - scope.begun, wanted.lasts, None, wanted.rate, wanted.slow, wanted.announced,
        wanted.ramp,
    )  # fmt: skip
    paced = scope.world.latency_scale > 0 or any(model.own_pace for model in scope.models.values())
    if why := never_happens(incident, scope.world, paced=paced):
        mistake(why)
    if wanted.slow > 1 and not paced:
        mistake("slow: this world has no latencies to multiply")
    try:
        number = scope.start_incident(incident, now)
    except ValueError as error:
        mistake(str(error))
    return _view(number, incident, now - scope.begun)


def end_incidents(context: Context, asked: Asked) -> Ended:
    """End all incidents that were started."""
    scope = context.scope(asked.test)
    numbers = list(scope.started)
    for number in numbers:
        scope.end_incident(number)
    return Ended(len(numbers))


def end_incident(context: Context, asked: Asked) -> Ended:
    """End one incident that was started."""
    scope, asked_for = context.scope(asked.test), asked.path["number"]
    number = next((known for known in scope.started if str(known) == asked_for), None)
    if number is None:
        not_found(f"no incident of this number was started; there are {', '.join(map(str, scope.started)) or 'none'}")
    scope.end_incident(number)
    return Ended(1)


def _view(number: int | None, incident: Incident, now: float) -> IncidentView:
    left = None
    if incident.every is None and incident.lasts is not None:
        left = max(0.0, incident.at + incident.lasts - now)
    return IncidentView(number, incident, incident.strength(now), left)
