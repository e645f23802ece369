"""What the samples say, as arrays: the measure phase, its latencies and its censored times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd

from reports.columns import Mask, Samples, Words
from reports.dependence import Blocks, Floats, Timeline, per_block
from reports.frame import Run
from reports.manifest import Manifest
from reports.sample import UNKNOWN, Outcome, Phase
from reports.stats import Observed, observe

# Outcomes whose first piece, where one was seen, was the begin of an answer and not of an error's body.
_BEGAN = (Outcome.OK, Outcome.STREAM_BROKEN, Outcome.TIMEOUT, Outcome.CUT_OFF)


@dataclass(frozen=True)
class Tries:
    """Some tries of one run; times in ms are derived from their columns."""

    manifest: Manifest
    samples: Samples

    def __len__(self) -> int:
        """How many tries these are."""
        return len(self.samples)

    def column(self, name: str) -> Floats:
        """One numeric column as floats, NaN where empty."""
        return self.samples.numbers(name)

    @cached_property
    def ok(self) -> Mask:
        """Which tries are ok, with the times of an answer; a record without them contradicts itself."""
        timed = ~(np.isnan(self.column("sent_s")) | np.isnan(self.column("end_s")))
        return self.ended_as(Outcome.OK) & timed

    @cached_property
    def unknown(self) -> Mask:
        """Which tries say nothing about the gateway: never sent, cut off or lost."""
        return self.ended_as(*UNKNOWN)

    def ended_as(self, *outcomes: Outcome) -> Mask:
        """Which tries had one of these outcomes."""
        return self.samples.words("outcome").among(*outcomes)

    @cached_property
    def provoked(self) -> Mask:
        """Which tries were to provoke an error."""
        return self.samples.words("expected").there

    @cached_property
    def as_expected(self) -> Mask:
        """Which tries did what was asked for: ok, or refused with exactly the code provoked on purpose."""
        same = self.samples.words("expected").same_as(self.samples.words("error_code"))
        return np.where(self.provoked, self.ended_as(Outcome.REFUSED) & same, self.ok)

    @cached_property
    def streamed(self) -> Mask:
        """Which tries asked for a stream."""
        return self.samples.flags("stream")

    @property
    def seen_until_s(self) -> Floats:
        """When each try ended, or for one that never did, when the run ended; NaN for what was lost."""
        end = self.column("end_s")
        endless = np.isnan(end) & self.ended_as(Outcome.CUT_OFF, Outcome.NEVER_SENT)
        return np.where(endless, self.manifest.ended_s, end)

    @property
    def scheduled_ms(self) -> Floats:
        """End - planned: what a customer feels. For tries that are not ok, how long they were seen to take."""
        return np.maximum(self.seen_until_s - self.column("planned_s"), 0) * 1e3

    @property
    def service_ms(self) -> Floats:
        """End - sent. NaN for what was never sent."""
        return (self.seen_until_s - self.column("sent_s")) * 1e3

    @cached_property
    def first_seen(self) -> Mask:
        """Which tries are streams whose first piece was seen."""
        return self.streamed & ~np.isnan(self.column("first_byte_s")) & self.ended_as(*_BEGAN)

    @property
    def ttft_ms(self) -> Floats:
        """First content byte - sent, of streams, or how long a stream without one was seen to take; else NaN."""
        first = np.where(self.first_seen, self.column("first_byte_s"), self.seen_until_s)
        return np.where(self.streamed, first - self.column("sent_s"), np.nan) * 1e3

    @property
    def tpot_ms(self) -> Floats:
        """(End - first byte) / (completion tokens - 1), of streams with two tokens or more; NaN elsewhere."""
        tokens = self.column("completion_tokens")
        gaps = np.where(self.streamed & (tokens >= 2), tokens - 1, np.nan)
        return (self.column("end_s") - self.column("first_byte_s")) / gaps * 1e3

    @cached_property
    def routes(self) -> Words:
        """`provider/model` of each try, or what is known of it; empty where nobody answered."""
        provider, model = self.samples.words("provider"), self.samples.words("model")
        width = len(model.names) + 1
        kind = np.min_scalar_type((len(provider.names) + 1) * width)
        pairs, found = pd.factorize(
            (provider.codes + 1).astype(kind) * kind.type(width) + (model.codes + 1).astype(kind)
        )
        known = [
            "/".join(filter(None, (("", *provider.names)[pair // width], ("", *model.names)[pair % width])))
            for pair in found.tolist()
        ]
        names = tuple(dict.fromkeys(filter(None, known)))
        codes = np.array([names.index(name) if name else -1 for name in known], np.min_scalar_type(-len(names) - 1))
        return Words(codes[pairs], names)

    def matching(self, scope: Mapping[str, str | bool]) -> Mask:
        """Which tries hold what a scope asks for, by column; an empty key is the run's own."""
        kept = np.ones(len(self), dtype=bool)
        for name, wanted in scope.items():
            if isinstance(wanted, bool):
                kept &= self.samples.flags(name) == wanted
            else:
                words = self.samples.words(name)
                own = name == "key" and wanted == self.manifest.api_key
                kept &= words.among(wanted) | ~words.there if own else words.among(wanted)
        return kept


@dataclass(frozen=True)
class Measured(Tries):
    """The measure phase of one run.

    `calls` has the last try of each call planned in it; `whole` has the warm-up's tries too, some of which end in it.
    """

    calls: Tries
    whole: Tries

    @classmethod
    def of(cls, run: Run) -> Measured:
        """Derive from a loaded run."""
        samples, manifest = run.samples, run.manifest
        measure = samples.words("phase").among(Phase.MEASURE)
        if manifest.stopped_s is not None:
            # What was planned for after the stop was not asked of anybody.
            measure &= samples.numbers("planned_s") < manifest.stopped_s
        # A call belongs to the phase that its first try was planned in.
        calls, more = measure & samples.last, samples.repeated
        begun = more.loc[(more["try"] == 0) & measure[more.index], "call_id"]
        calls[more.index] = samples.last[more.index] & more["call_id"].isin(begun)
        parts = (samples.where(measure), Tries(manifest, samples.where(calls)), Tries(manifest, samples))
        return cls(manifest, *parts)

    def within(self, scope: Mapping[str, str | bool]) -> Measured:
        """Only the tries that a gate's scope is about; a provider or a model is known of answered tries alone."""
        parts = [tries.samples.where(tries.matching(scope)) for tries in (self, self.calls, self.whole)]
        return Measured(self.manifest, parts[0], *(Tries(self.manifest, part) for part in parts[1:]))

    def known(self) -> Measured:
        """Only the tries of which it is known how the gateway treated them."""
        calls = Tries(self.manifest, self.calls.samples.where(~self.calls.unknown))
        return Measured(self.manifest, self.samples.where(~self.unknown), calls, self.whole)

    @cached_property
    def window_s(self) -> tuple[float, float]:
        """Begin and end of the measure phase; a script has no planned length and ends when all was done."""
        begin, manifest = self.manifest.warmup_s, self.manifest
        stopped = manifest.ended_s if manifest.stopped_s is None else min(manifest.stopped_s, manifest.ended_s)
        if manifest.load.kind == "script" or manifest.duration_s == 0:
            return begin, max(begin, stopped)
        return begin, max(begin, min(begin + manifest.duration_s, stopped))

    @property
    def seconds(self) -> float:
        """Length of the measure phase."""
        return self.window_s[1] - self.window_s[0]

    @cached_property
    def timeline(self) -> Timeline:
        """The measure phase, cut into blocks of time."""
        return Timeline(self.window_s[0], self.seconds)

    @cached_property
    def block(self) -> Blocks:
        """Which block of time each try was planned in."""
        return self.timeline.block(self.column("planned_s"))

    @cached_property
    def per_block(self) -> Floats:
        """How many tries were planned in each block of time."""
        return per_block(self.block)

    @property
    def dispatch_ms(self) -> Floats:
        """Sent - planned: the generator's fault. NaN for what was never sent."""
        return (self.column("sent_s") - self.column("planned_s")) * 1e3

    @property
    def residual_ms(self) -> Floats:
        """Service latency - the mock's plan, per ok request; NaN where no plan was announced."""
        return np.where(self.ok, self.service_ms - self.column("planned_ms"), np.nan)

    @property
    def first_residual_ms(self) -> Floats:
        """Time to the first piece - the mock's plan for it, per ok stream."""
        first = (self.column("first_byte_s") - self.column("sent_s")) * 1e3
        return np.where(self.ok & self.streamed, first - self.column("planned_first_ms"), np.nan)

    @cached_property
    def _observed(self) -> dict[str, Observed]:
        return {}

    def observed(self, name: str) -> Observed:
        """One of the distributions that numbers are about; what several are about is sorted once."""
        if name in self._observed:
            return self._observed[name]
        found = observe(*_DISTRIBUTIONS[name](self), self.block, self.seconds)
        if name not in _ONCE:
            self._observed[name] = found
        return found

    def forget(self) -> None:
        """Let go of the distributions made so far; whoever asks again has them made again."""
        self._observed.clear()


# Times, NaN where they are no part of it, and which of them ended; None: all. Of the first three every try is part:
# how long it was seen to take is less than it would have taken, had it ended ok.
_DISTRIBUTIONS: Final[dict[str, Callable[[Measured], tuple[Floats, Mask | None]]]] = {
    "scheduled": lambda tries: (tries.scheduled_ms, tries.ok),
    "service": lambda tries: (tries.service_ms, tries.ok),
    "ttft": lambda tries: (tries.ttft_ms, tries.first_seen),
    "tpot": lambda tries: (np.where(tries.ok, tries.tpot_ms, np.nan), None),
    "dispatch": lambda tries: (tries.dispatch_ms, None),
    "connect": lambda tries: (tries.column("connect_ms"), None),
    "gap": lambda tries: (np.where(tries.ok, tries.column("max_gap_s") * 1e3, np.nan), None),
    "chunks": lambda tries: (np.where(tries.ok, tries.column("chunks"), np.nan), None),
    "residual": lambda tries: (tries.residual_ms, None),
    "first_residual": lambda tries: (tries.first_residual_ms, None),
}
# These are shown in one table and nowhere else, and as large as the others.
_ONCE: Final = frozenset({"dispatch", "connect", "gap", "chunks", "first_residual"})
