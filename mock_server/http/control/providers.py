"""Providers as one test sees them: health, price, speed and failures, and how to change them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from mock_server.core.breaker import State
from mock_server.core.latency import Constant, scaled
from mock_server.core.provider import SimulatedModel
from mock_server.core.routing import Candidate
from mock_server.core.scope import Scope
from mock_server.core.world import Model
from mock_server.http.context import Context
from mock_server.http.control.asked import Asked, mistake, not_found

Rate = Annotated[float, Meta(ge=0, le=1)]
Price = Annotated[float, Meta(ge=0, le=1e6)]


class ProviderChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; what is absent stays. Rates and latencies given here hold as they stand, whatever the world's
    scales; `latency_scale` multiplies the world's own latencies.
    """

    price_in: Annotated[Price | UnsetType, Meta(description="USD per million prompt tokens")] = UNSET
    price_out: Annotated[Price | UnsetType, Meta(description="USD per million answer tokens")] = UNSET
    quality: Annotated[Rate | UnsetType, Meta(description="from 0 to 1, for ranking")] = UNSET
    error_rate: Annotated[Rate | UnsetType, Meta(description="share of attempts that fail")] = UNSET
    rate_limit_rate: Annotated[Rate | UnsetType, Meta(description="share of attempts limited upstream")] = UNSET
    ttft_ms: Annotated[
        Annotated[float, Meta(ge=0, le=600_000)] | UnsetType, Meta(description="to the first token, always the same")
    ] = UNSET
    tokens_per_s: Annotated[
        Annotated[float, Meta(gt=0, le=1e6)] | UnsetType, Meta(description="median pace of the answer")
    ] = UNSET
    latency_scale: Annotated[
        Annotated[float, Meta(gt=0, le=1_000)] | UnsetType, Meta(description="factor on all latencies of the world's")
    ] = UNSET
    breaker: Annotated[
        Literal["open", "closed"] | UnsetType, Meta(description="of a whole provider; open lasts a cooldown")
    ] = UNSET
    reset: Annotated[bool | UnsetType, Meta(description="alone: all as the world has it")] = UNSET


class ModelView(Struct, frozen=True):
    """One model: latencies in milliseconds, prices in USD per million tokens."""

    name: str
    changed: bool
    incident: str | None
    strength: float
    price_in: float
    price_out: float
    quality: float
    error_rate: float
    rate_limit_rate: float
    ttft_ms: float
    tokens_per_s: float


class ProviderView(Struct, frozen=True):
    """One provider: its breaker, the seconds until an open one allows a probe, and its models."""

    provider: str
    healthy: bool
    breaker: State
    cooldown_s: float
    models: list[ModelView]


class Providers(Struct, frozen=True):
    """All providers, by name."""

    providers: list[ProviderView]


def list_providers(context: Context, asked: Asked) -> Providers:
    """Every provider and model as the test sees it."""
    scope, now = context.scope(asked.test), context.now(asked.test)
    return Providers([_view(context, scope, name, scope.catalogue, now) for name in sorted(scope.breakers)])


def show_provider(context: Context, asked: Asked) -> ProviderView:
    """One provider, or one model as `provider/model`."""
    scope = context.scope(asked.test)
    chosen = _chosen(scope, asked.path["name"])
    return _view(context, scope, chosen[0].provider, chosen, context.now(asked.test))


def change_provider(context: Context, asked: Asked) -> ProviderView:
    """Change a provider's models, or one, for the test; without a test id, for all calls that have none."""
    scope, now, change = context.scope(asked.test), context.now(asked.test), asked.body
    name = asked.path["name"]
    chosen = _chosen(scope, name)
    _check(change, context, scope, name)
    if change.reset is True:
        context.engine.restore_models(scope, {candidate.name for candidate in chosen})
        if name in scope.breakers:
            scope.breakers[name].mend()
            scope.ailing.discard(name)
    else:
        for candidate in chosen:
            _change(context, scope, candidate, change)
    if change.breaker == "open":
        scope.breakers[name].trip(now)
        scope.ailing.add(name)
    elif change.breaker == "closed":
        scope.breakers[name].mend()
        scope.ailing.discard(name)
    return _view(context, scope, chosen[0].provider, _chosen(scope, name), now)


def _check(change: ProviderChange, context: Context, scope: Scope, name: str) -> None:
    given = [field for field in change.__struct_fields__ if getattr(change, field) is not UNSET]
    if not given:
        mistake(f"name something to change: {', '.join(change.__struct_fields__)}")
    if change.reset is not UNSET and not (change.reset and len(given) == 1):
        mistake("reset: must be true, and goes alone")
    if change.latency_scale is not UNSET:
        if change.ttft_ms is not UNSET or change.tokens_per_s is not UNSET:
            mistake("latency_scale and ttft_ms or tokens_per_s contradict each other")
        if context.engine.world.latency_scale == 0:
            mistake("latency_scale: this world has no latencies to multiply; give ttft_ms or tokens_per_s")
    if change.breaker is not UNSET and name not in scope.breakers:
        mistake(f"breaker: a provider has one, a model has none; providers are {', '.join(sorted(scope.breakers))}")


def _change(context: Context, scope: Scope, candidate: Candidate, change: ProviderChange) -> None:
    plain = ("price_in", "price_out", "quality", "error_rate", "rate_limit_rate", "tokens_per_s")
    given = {name: value for name in plain if (value := getattr(change, name)) is not UNSET}
    settings: Model = replace(candidate.settings, **given)
    if change.ttft_ms is not UNSET:
        settings = replace(settings, ttft=Constant(change.ttft_ms), prefill_ms_per_token=0.0)
    model = scope.models[candidate.name]
    own_pace = model.own_pace or change.ttft_ms is not UNSET or change.tokens_per_s is not UNSET
    if change.latency_scale is not UNSET:
        factor = change.latency_scale
        world = next(c.settings for c in context.engine.catalogue if c.name == candidate.name)
        settings = replace(
            settings,
            ttft=scaled(world.ttft, factor),
            prefill_ms_per_token=world.prefill_ms_per_token * factor,
            tokens_per_s=world.tokens_per_s / factor,
        )
        own_pace = False
    own_failures = model.own_failures or change.error_rate is not UNSET or change.rate_limit_rate is not UNSET
    changed = Candidate(candidate.name, candidate.provider, candidate.model, settings)
    scope.change_model(changed, own_failures=own_failures, own_pace=own_pace)


def _chosen(scope: Scope, name: str) -> tuple[Candidate, ...]:
    chosen = tuple(c for c in scope.catalogue if name in (c.provider, c.name))
    if not chosen:
        not_found(f"no such provider; there are {', '.join(sorted(scope.breakers))}, and provider/model of each")
    return chosen


def _view(context: Context, scope: Scope, provider: str, candidates: tuple[Candidate, ...], now: float) -> ProviderView:
    breaker = scope.breakers[provider]
    models = [_model_view(context, scope.models[c.name], now) for c in candidates if c.provider == provider]
    state = breaker.state(now)
    ill = state != "closed" or any(model.incident is not None for model in models)
    return ProviderView(provider, not ill, state, breaker.cooldown(now), models)


def _model_view(context: Context, model: SimulatedModel, now: float) -> ModelView:
    candidate, found = model.candidate, model.incident(now)
    settings = candidate.settings
    return ModelView(
        candidate.name,
        candidate not in context.engine.catalogue,
        None if found is None else found[0].kind,
        0.0 if found is None else found[1],
        settings.price_in,
        settings.price_out,
        settings.quality,
        settings.error_rate,
        settings.rate_limit_rate,
        settings.ttft.median_s() * 1e3,
        settings.tokens_per_s,
    )
