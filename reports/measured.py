"""What the samples say, as arrays: the measure phase, its latencies and its censored times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.dependence import Blocks, Floats, Timeline, per_block
from reports.frame import Run
from reports.manifest import Manifest
from reports.sample import UNKNOWN, Outcome, Phase
from reports.stats import Observed, observe

Mask = npt.NDArray[np.bool_]

# Outcomes whose first piece, where one was seen, was the begin of an answer and not of an error's body.
_BEGAN = (Outcome.OK, Outcome.STREAM_BROKEN, Outcome.TIMEOUT, Outcome.CUT_OFF)


@dataclass(frozen=True)
class Tries:
    """Some tries of one run: `frame` has one row per try; times in ms are derived from it."""

    manifest: Manifest
    frame: pd.DataFrame

    def column(self, name: str) -> Floats:
        """One numeric column as floats, NaN where empty."""
        return self.frame[name].to_numpy(dtype=float)

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
        return self.frame["outcome"].isin(list(outcomes)).to_numpy(dtype=bool)

    @cached_property
    def as_expected(self) -> Mask:
        """Which tries did what was asked for: ok, or refused with exactly the code provoked on purpose."""
        expected = self.frame["expected"].astype(object)
        provoked = expected.notna().to_numpy(dtype=bool)
        same = (self.frame["error_code"].astype(object) == expected).to_numpy(dtype=bool)
        return np.where(provoked, self.ended_as(Outcome.REFUSED) & same, self.ok)

    @cached_property
    def streamed(self) -> Mask:
        """Which tries asked for a stream."""
        return self.frame["stream"].to_numpy(dtype=bool)

    @cached_property
    def seen_until_s(self) -> Floats:
        """When each try ended, or for one that never did, when the run ended; NaN for what was lost."""
        end = self.column("end_s")
        endless = np.isnan(end) & self.ended_as(Outcome.CUT_OFF, Outcome.NEVER_SENT)
        return np.where(endless, self.manifest.ended_s, end)

    @cached_property
    def scheduled_ms(self) -> Floats:
        """End - planned: what a customer feels. For tries that are not ok, how long they were seen to take."""
        return np.maximum(self.seen_until_s - self.column("planned_s"), 0) * 1e3

    @cached_property
    def service_ms(self) -> Floats:
        """End - sent. NaN for what was never sent."""
        return (self.seen_until_s - self.column("sent_s")) * 1e3

    @cached_property
    def first_seen(self) -> Mask:
        """Which tries are streams whose first piece was seen."""
        return self.streamed & ~np.isnan(self.column("first_byte_s")) & self.ended_as(*_BEGAN)

    @cached_property
    def ttft_ms(self) -> Floats:
        """First content byte - sent, of streams, or how long a stream without one was seen to take; else NaN."""
        first = np.where(self.first_seen, self.column("first_byte_s"), self.seen_until_s)
        return np.where(self.streamed, first - self.column("sent_s"), np.nan) * 1e3

    @cached_property
    def tpot_ms(self) -> Floats:
        """(End - first byte) / (completion tokens - 1), of streams with two tokens or more; NaN elsewhere."""
        tokens = self.column("completion_tokens")
        gaps = np.where(self.streamed & (tokens >= 2), tokens - 1, np.nan)
        return (self.column("end_s") - self.column("first_byte_s")) / gaps * 1e3


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
        measure = samples["phase"] == Phase.MEASURE
        if manifest.stopped_s is not None:
            # What was planned for after the stop was not asked of anybody.
            measure &= samples["planned_s"] < manifest.stopped_s
        last = samples.sort_values(["call_id", "try"], kind="stable").drop_duplicates("call_id", keep="last")
        begun = samples.loc[(samples["try"] == 0) & measure, "call_id"]
        calls = last[last["call_id"].isin(begun)]
        frame = samples[measure].reset_index(drop=True)
        return cls(manifest, frame, Tries(manifest, calls), Tries(manifest, samples))

    def within(self, scope: Mapping[str, str | bool]) -> Measured:
        """Only the tries that a gate's scope is about; a provider or a model is known of answered tries alone."""
        parts = [
            Tries(self.manifest, tries.frame[self._matches(tries.frame, scope)])
            for tries in (self, self.calls, self.whole)
        ]
        return Measured(self.manifest, parts[0].frame.reset_index(drop=True), parts[1], parts[2])

    def _matches(self, frame: pd.DataFrame, scope: Mapping[str, str | bool]) -> Mask:
        kept = np.ones(len(frame), dtype=bool)
        for name, wanted in scope.items():
            column = frame[name]
            if name == "key" and wanted == self.manifest.api_key:
                same = column.isna() | (column == wanted)
            else:
                same = column == wanted
            kept &= same.to_numpy(dtype=bool, na_value=False)
        return kept

    def known(self) -> Measured:
        """Only the tries of which it is known how the gateway treated them."""
        calls = Tries(self.manifest, self.calls.frame[~self.calls.unknown])
        return replace(self, frame=self.frame[~self.unknown].reset_index(drop=True), calls=calls)

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

    @cached_property
    def dispatch_ms(self) -> Floats:
        """Sent - planned: the generator's fault. NaN for what was never sent."""
        return (self.column("sent_s") - self.column("planned_s")) * 1e3

    @cached_property
    def residual_ms(self) -> Floats:
        """Service latency - the mock's plan, per ok request; NaN where no plan was announced."""
        return np.where(self.ok, self.service_ms - self.column("planned_ms"), np.nan)

    @cached_property
    def first_residual_ms(self) -> Floats:
        """Time to the first piece - the mock's plan for it, per ok stream."""
        first = (self.column("first_byte_s") - self.column("sent_s")) * 1e3
        return np.where(self.ok & self.streamed, first - self.column("planned_first_ms"), np.nan)

    @cached_property
    def observed(self) -> dict[str, Observed]:
        """The distributions that metrics are about, by name.

        Of the first three every try is part: how long it was seen to take is less than it would have taken, had it
        ended ok.
        """
        return {
            "scheduled": observe(self.scheduled_ms, self.ok, self.block, self.seconds),
            "service": observe(self.service_ms, self.ok, self.block, self.seconds),
            "ttft": observe(self.ttft_ms, self.first_seen, self.block, self.seconds),
            "tpot": self.among(self.tpot_ms, self.ok),
            "dispatch": observe(self.dispatch_ms, None, self.block, self.seconds),
            "connect": observe(self.column("connect_ms"), None, self.block, self.seconds),
            "gap": self.among(self.column("max_gap_s") * 1e3, self.ok),
            "chunks": self.among(self.column("chunks"), self.ok),
            "residual": self.among(self.residual_ms, self.ok),
            "first_residual": self.among(self.first_residual_ms, self.ok),
        }

    def among(self, values: Floats, rows: Mask) -> Observed:
        """Return the distribution of what finished, among some of the tries."""
        return observe(values[rows], None, self.block[rows], self.seconds)
