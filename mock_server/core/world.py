"""A world: everything about the simulated gateway that a TOML file may set, as immutable values."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from mock_server.contract.accounts import PLANS, TEST_KEYS, Fate, Plan
from mock_server.core.breaker import BreakerSettings
from mock_server.core.canned import AnswerRule
from mock_server.core.latency import MOST, MOST_SIGMA, Law
from mock_server.core.rules import FaultRule

Rate = Annotated[float, Meta(ge=0, le=1)]
MOST_SLOW: Final = 1_000.0
NonNegative = Annotated[float, Meta(ge=0, le=MOST)]
Seconds = Annotated[float, Meta(gt=0, le=MOST)]
AtLeastOne = Annotated[int, Meta(ge=1)]

Task = Literal["chat", "code", "translation", "extraction", "reasoning"]
FailureKind = Literal["error", "timeout", "refused", "rate_limited"]
AbandonedCharge = Literal["none", "delivered", "generated"]
Reserve = Literal["completion", "model_max"]
FailedChainStatus = Literal[502, 503, "last"]


class GatewaySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Switches of the gateway itself."""

    idempotency: Annotated[bool, Meta(description="heed Idempotency-Key: replay for 24 h, or 409")] = False
    canned_only: Annotated[bool, Meta(description="refuse calls no canned answer matches")] = False
    strict: Annotated[bool, Meta(description="refuse unknown request fields with 400")] = False
    model_unavailable_status: Annotated[
        Literal[400, 404, 502, 503], Meta(description="status of MODEL_UNAVAILABLE")
    ] = 400
    failed_chain_status: Annotated[
        FailedChainStatus, Meta(description="status of ALL_PROVIDERS_FAILED; last: that of the last attempt")
    ] = 502
    reserve: Annotated[
        Reserve,
        Meta(
            description="what a call without max_tokens reserves for its answer: 500 tokens, or all that the model "
            "ranked first may write; with model_max a 402 says what is affordable"
        ),
    ] = "completion"
    abandoned_charge: Annotated[
        AbandonedCharge,
        Meta(description="what a client that leaves pays: nothing, prompt and what was sent, or the whole answer"),
    ] = "delivered"
    attempt_timeout_s: Annotated[Seconds, Meta(description="after this an attempt counts as timed out")] = 30.0
    keep_alive_s: Annotated[
        float, Meta(ge=0.01, le=MOST, description="silence in a stream before a keep-alive comment")
    ] = 15.0


class FailureMix(Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of what a provider's 5xx rate consists of; they are normalised."""

    error: Annotated[NonNegative, Meta(description="an error answer of the provider")] = 0.8
    timeout: Annotated[NonNegative, Meta(description="no answer within attempt_timeout_s")] = 0.1
    refused: Annotated[NonNegative, Meta(description="no connection to the provider")] = 0.1


class AccountSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """One API key: its plan by name, its balance in tokens (absent: unlimited), its fate."""

    plan: Annotated[str, Meta(description="name of a plan")] = "none"
    balance: Annotated[Annotated[int, Meta(ge=0)] | None, Meta(description="tokens; absent: unlimited")] = None
    fate: Annotated[Fate, Meta(description="revoked is always 401, outage 502, error 500")] = "normal"


class Model(Struct, frozen=True, forbid_unknown_fields=True):
    """One model of one provider. Latencies are defaults to edit, not claims about a vendor."""

    ttft: Annotated[Law, Meta(description="time to the first token, before prefill and queue")]
    tokens_per_s: Annotated[float, Meta(ge=0.01, le=MOST, description="median pace of the answer")]
    window: Annotated[AtLeastOne, Meta(description="context window in tokens")]
    price_in: Annotated[NonNegative, Meta(description="USD per million prompt tokens")]
    price_out: Annotated[NonNegative, Meta(description="USD per million answer tokens")]
    quality: Annotated[Rate, Meta(description="from 0 to 1, for ranking")]
    prefill_ms_per_token: Annotated[NonNegative, Meta(description="added to the first token per prompt token")] = 0.0
    pace_log_sd: Annotated[
        float, Meta(ge=0, le=MOST_SIGMA, description="deviation of the pace's logarithm, per request")
    ] = 0.0
    error_rate: Annotated[Rate, Meta(description="share of attempts that fail with 5xx or worse")] = 0.0
    rate_limit_rate: Annotated[Rate, Meta(description="share of attempts that are rate-limited upstream")] = 0.0
    max_output: Annotated[
        AtLeastOne | None, Meta(description="most tokens of an answer; absent: all that the window leaves")
    ] = None
    replicas: Annotated[AtLeastOne, Meta(description="servers; the least loaded serves")] = 64
    batch: Annotated[AtLeastOne, Meta(description="requests a replica serves at once; beyond it they queue")] = 64
    task_quality: Annotated[
        dict[Task, Annotated[float, Meta(ge=-1, le=1)]], Meta(description="added to quality, by task")
    ] = {}


class AnswerLength(Struct, frozen=True, forbid_unknown_fields=True):
    """How long the answers to one task are, in tokens: ``exp(mu + sigma * N)``."""

    mu: Annotated[float, Meta(ge=0, le=14, description="mean of the logarithm of an answer's length in tokens")]
    sigma: Annotated[float, Meta(ge=0, le=MOST_SIGMA, description="deviation of that logarithm")]


class Routing(Struct, frozen=True, forbid_unknown_fields=True):
    """What routing remembers of a conversation."""

    sticky_s: Annotated[
        NonNegative,
        Meta(
            description="seconds for which a conversation (account and first message) stays with the model that last "
            "answered it, which need not prefill again what it has read; 0: off"
        ),
    ] = 0.0


class ConnectionSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What the server bears with on one connection. Seconds are real, whatever the time scale and the clocks."""

    head_bytes: Annotated[
        int, Meta(ge=1_024, le=1_048_576, description="bytes of a request line with its headers; more is 431")
    ] = 65_536
    head_timeout_s: Annotated[
        float, Meta(gt=0, description="real seconds from the first byte of a head to its last; later is 408")
    ] = 10.0
    body_timeout_s: Annotated[
        float,
        Meta(gt=0, description="real seconds for a body, and one more for each KiB of it that has come; later is 408"),
    ] = 30.0
    idle_timeout_s: Annotated[
        float, Meta(gt=0, description="real seconds without any of a request after which a connection is closed")
    ] = 75.0


class Incident(Struct, frozen=True, forbid_unknown_fields=True):
    """Trouble of some models on a timeline.

    Times are simulated seconds from the start of the server or the last full reset; for a test id, from its first call.
    """

    kind: Annotated[
        Literal["outage", "brownout", "rate_limited"],
        Meta(description="everything fails; slower with more errors; limited upstream"),
    ]
    match: Annotated[str, Meta(description="glob on provider or provider/model")] = "*"
    at: Annotated[NonNegative, Meta(description="when it starts")] = 0.0
    lasts: Annotated[Seconds | None, Meta(description="seconds it lasts; absent: for ever")] = field(
        name="for", default=None
    )
    every: Annotated[Seconds | None, Meta(description="seconds from one start to the next; absent: once")] = None
    rate: Annotated[Rate, Meta(description="share of attempts that fail")] = 1.0
    slow: Annotated[float, Meta(ge=1, le=MOST_SLOW, description="factor on latency, for a brownout")] = 1.0
    announced: Annotated[
        bool,
        Meta(description="whether the gateway knows, and ranks the models last, before it meets a failure"),
    ] = False
    ramp: Annotated[NonNegative, Meta(description="seconds after its end over which its effect fades to nothing")] = 0.0

    def active(self, now: float) -> bool:
        """Whether it goes on at ``now``."""
        return self.strength(now) == 1.0

    def strength(self, now: float) -> float:
        """How strongly it acts at ``now``: 1 while it goes on, then less and less until its ramp is over, else 0."""
        if now < self.at:
            return 0.0
        since = now - self.at
        if self.every is not None:
            since %= self.every
        if self.lasts is None or since < self.lasts:
            return 1.0
        return max(0.0, 1 - (since - self.lasts) / self.ramp) if self.ramp else 0.0

    def over(self, now: float) -> bool:
        """Whether it will never act again."""
        return self.every is None and self.lasts is not None and now >= self.at + self.lasts + self.ramp

    def concerns(self, provider: str, model: str) -> bool:
        """Whether it is about this model."""
        return fnmatchcase(provider, self.match) or fnmatchcase(f"{provider}/{model}", self.match)


def built_in_accounts() -> dict[str, AccountSettings]:
    """The contract's test keys, which every world has."""
    return {row.key: AccountSettings(row.plan, row.balance, row.fate) for row in TEST_KEYS}


class World(Struct, frozen=True, forbid_unknown_fields=True):
    """The simulated gateway's settings. Keys of ``models`` are ``provider/model``.

    Plans and accounts of a world file are added to the built-in ones. For the tasks it names, ``answer_tokens`` takes
    the place of the published lengths.
    """

    models: Annotated[dict[str, Model], Meta(min_length=1)]
    description: str = ""
    latency_scale: Annotated[
        float, Meta(ge=0, le=1_000, description="factor on every provider latency; 0 is at once")
    ] = 1.0
    failure_scale: Annotated[float, Meta(ge=0, le=1_000, description="factor on every provider failure rate")] = 1.0
    answer_tokens: dict[Task, AnswerLength] = {}
    gateway: GatewaySettings = GatewaySettings()
    connection: ConnectionSettings = ConnectionSettings()
    routing: Routing = Routing()
    breaker: BreakerSettings = BreakerSettings()
    failure_mix: FailureMix = FailureMix()
    plans: dict[str, Plan] = field(default_factory=lambda: dict(PLANS))
    accounts: dict[str, AccountSettings] = field(default_factory=built_in_accounts)
    incidents: tuple[Incident, ...] = ()
    faults: tuple[FaultRule, ...] = ()
    answers: tuple[AnswerRule, ...] = ()
