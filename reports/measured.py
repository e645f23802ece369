"""What the samples say, as arrays: the measure phase, its latencies and its censored times."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.frame import Run
from reports.manifest import Manifest
from reports.sample import CENSORED, Outcome, Phase
from reports.stats import Floats, Observed, observe

_BLOCKS = 60  # at most this many blocks of time, none shorter than a second


@dataclass(frozen=True)
class Measured:
    """The measure phase of one run. `frame` has one row per try; times in ms are derived from it."""

    manifest: Manifest
    frame: pd.DataFrame
    calls: pd.DataFrame

    @classmethod
    def of(cls, run: Run) -> Measured:
        """Derive from a loaded run. `calls` has the last try of each call planned in the measure phase."""
        frame = run.samples[run.samples["phase"] == Phase.MEASURE].reset_index(drop=True)
        last = run.samples.sort_values(["call_id", "try"], kind="stable").drop_duplicates("call_id", keep="last")
        begun = run.samples.loc[(run.samples["try"] == 0) & (run.samples["phase"] == Phase.MEASURE), "call_id"]
        return cls(run.manifest, frame, last[last["call_id"].isin(begun)])

    @cached_property
    def window_s(self) -> tuple[float, float]:
        """Begin and end of the measure phase; a script has no planned length and ends when all was done."""
        begin = self.manifest.warmup_s
        if self.manifest.load.kind == "script" or self.manifest.duration_s == 0:
            return begin, max(begin, self.manifest.ended_s)
        return begin, max(begin, min(begin + self.manifest.duration_s, self.manifest.ended_s))

    @property
    def seconds(self) -> float:
        """Length of the measure phase."""
        return self.window_s[1] - self.window_s[0]

    def column(self, name: str) -> Floats:
        """One numeric column as floats, NaN where empty."""
        return self.frame[name].to_numpy(dtype=float)

    @cached_property
    def ok(self) -> npt.NDArray[np.bool_]:
        """Which tries are ok."""
        return (self.frame["outcome"] == Outcome.OK).to_numpy(dtype=bool)

    @cached_property
    def as_expected(self) -> npt.NDArray[np.bool_]:
        """Which tries did what was asked for: ok, or refused with exactly the code provoked on purpose."""
        expected = self.frame["expected"].astype(object)
        provoked = expected.notna().to_numpy(dtype=bool)
        refused = (self.frame["outcome"] == Outcome.REFUSED).to_numpy(dtype=bool)
        same = (self.frame["error_code"].astype(object) == expected).to_numpy(dtype=bool)
        return np.where(provoked, refused & same, self.ok)

    @cached_property
    def streamed(self) -> npt.NDArray[np.bool_]:
        """Which tries asked for a stream."""
        return self.frame["stream"].to_numpy(dtype=bool)

    @cached_property
    def censored(self) -> npt.NDArray[np.bool_]:
        """Which tries are known only to take longer than was seen."""
        return self.frame["outcome"].isin(list(CENSORED)).to_numpy(dtype=bool)

    @cached_property
    def seen_until_s(self) -> Floats:
        """When each try ended, or for one that never did, when the run ended."""
        end = self.column("end_s")
        return np.where(np.isnan(end) & self.censored, self.manifest.ended_s, end)

    @cached_property
    def scheduled_ms(self) -> Floats:
        """End - planned: what a customer feels. For censored tries, how long they were seen to take."""
        return np.maximum(self.seen_until_s - self.column("planned_s"), 0) * 1e3

    @cached_property
    def service_ms(self) -> Floats:
        """End - sent. NaN for what was never sent."""
        return (self.seen_until_s - self.column("sent_s")) * 1e3

    @cached_property
    def dispatch_ms(self) -> Floats:
        """Sent - planned: the generator's fault. NaN for what was never sent."""
        return (self.column("sent_s") - self.column("planned_s")) * 1e3

    @cached_property
    def ttft_ms(self) -> Floats:
        """First content byte - sent, of streams; NaN elsewhere."""
        first = self.column("first_byte_s") - self.column("sent_s")
        unseen = np.isnan(first) & self.censored
        waited = self.seen_until_s - self.column("sent_s")
        return np.where(self.streamed, np.where(unseen, waited, first), np.nan) * 1e3

    @cached_property
    def tpot_ms(self) -> Floats:
        """(End - first byte) / (completion tokens - 1), of streams with two tokens or more; NaN elsewhere."""
        tokens = self.column("completion_tokens")
        gaps = np.where(self.streamed & (tokens >= 2), tokens - 1, np.nan)
        return (self.column("end_s") - self.column("first_byte_s")) / gaps * 1e3

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
    def block(self) -> npt.NDArray[np.int64]:
        """Which block of time each try was planned in."""
        length = max(1.0, self.seconds / _BLOCKS)
        offset = (self.column("planned_s") - self.window_s[0]) / length
        return np.maximum(offset, 0).astype(np.int64)

    @cached_property
    def observed(self) -> dict[str, Observed]:
        """The distributions that metrics are about, by name; censored ones where they can be known."""
        awaiting_first = self.censored & np.isnan(self.column("first_byte_s"))
        return {
            "scheduled": self._felt(self.scheduled_ms, self.censored),
            "service": self._felt(self.service_ms, self.censored),
            "ttft": self._felt(self.ttft_ms, awaiting_first),
            "tpot": self._finished(self.tpot_ms),
            "dispatch": observe(self.dispatch_ms),
            "gap": self._finished(self.column("max_gap_s") * 1e3),
            "chunks": self._finished(self.column("chunks")),
            "residual": self._finished(self.residual_ms),
            "first_residual": self._finished(self.first_residual_ms),
        }

    def _finished(self, values: Floats) -> Observed:
        return observe(values[self.ok], block=self.block[self.ok])

    def _felt(self, values: Floats, unfinished: npt.NDArray[np.bool_]) -> Observed:
        rows = self.ok | self.censored
        return observe(values[rows], ~unfinished[rows], self.block[rows])
