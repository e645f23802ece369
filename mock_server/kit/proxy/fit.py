"""Samples to the parameters of a world's laws, and how well these agree. Pure.

Quantiles are order statistics, the ⌈np⌉-th smallest. A law is told by the Kolmogorov-Smirnov distance D, the largest
gap between its distribution function and that of the samples: where no law of few parameters comes within 1.36/√n,
what was measured is kept as it is, as quantiles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import ceil, exp, inf, log, sqrt
from statistics import NormalDist, fmean, median
from typing import Final, NamedTuple

from mock_server.core.latency import MOST_SIGMA, Constant, Empirical, HeavyTail, Law, LognormalLatency

LEAST: Final = 20
"""Samples from which on a law is fitted."""
LEAST_QUANTILES: Final = 100
"""Samples from which on measured quantiles take the place of a law that does not agree."""
_STEPS: Final = (20, 50, 100)  # of probability; each wants five samples
_KS: Final = 1.36  # the 5 % point of the Kolmogorov distribution
_NORMAL: Final = NormalDist()
_P90: Final = _NORMAL.inv_cdf(0.9)
_P95: Final = _NORMAL.inv_cdf(0.95)
_ROUNDS: Final = 200


class Fit(NamedTuple):
    """A law, and what is to be said of it."""

    law: Law
    said: str


def quantile(ordered: Sequence[float], share: float) -> float:
    """The ⌈np⌉-th smallest of values in order."""
    return ordered[max(0, ceil(len(ordered) * share) - 1)]


def fit_latency(values_ms: Sequence[float]) -> Fit:
    """The law of a time to the first token, from at least one sample; none may be negative."""
    ordered = sorted(max(value, 1e-6) for value in values_ms)
    count = len(ordered)
    if count < LEAST:
        middle = Constant(_short(quantile(ordered, 0.5)))
        return Fit(middle, f"{_samples(count)}: too few for a spread ({LEAST} at least), so this is their median")
    fits = [(_distance(ordered, cdf), law) for law, cdf in (_lognormal(ordered), _heavy(ordered))]
    distance, law = min(fits, key=lambda one: one[0])
    allowed = _KS / sqrt(count)
    agrees = f"{_samples(count)}, D = {distance:.3f}"
    if distance <= allowed:
        return Fit(law, f"{agrees}, at most {allowed:.3f} is chance")
    if count < LEAST_QUANTILES:
        return Fit(law, f"{agrees}: does not agree well, and {LEAST_QUANTILES} samples are wanted for quantiles")
    steps = max(one for one in _STEPS if one * 5 <= count)
    measured = [ordered[0], *(quantile(ordered, step / steps) for step in range(1, steps + 1))]
    return Fit(
        Empirical(tuple(map(_short, measured))), f"{_samples(count)}, as measured: no law of few parameters agrees"
    )


def _lognormal(ordered: Sequence[float]) -> tuple[Law, Callable[[float], float]]:
    logs = [log(value) for value in ordered]
    mean = fmean(logs)
    sigma = min(sqrt(fmean([(one - mean) ** 2 for one in logs])), MOST_SIGMA)
    law = LognormalLatency(_short(exp(mean)), _short(exp(mean + sigma * _P95)))
    return law, lambda value: _NORMAL.cdf((log(value) - mean) / max(sigma, 1e-9))


def _heavy(ordered: Sequence[float]) -> tuple[Law, Callable[[float], float]]:
    """``p`` is the median; sigma spans from the median to the 90th percentile, which the heavy tail hardly moves."""
    middle = quantile(ordered, 0.5)
    half = middle / 2
    sigma = min(log((quantile(ordered, 0.9) - half) / half) / _P90, MOST_SIGMA)
    law = HeavyTail(_short(middle), round(sigma, 4))

    def cdf(value: float) -> float:
        return _NORMAL.cdf(log((value - half) / half) / max(sigma, 1e-9)) if value > half else 0.0

    return law, cdf


def _distance(ordered: Sequence[float], cdf: Callable[[float], float]) -> float:
    count, furthest = len(ordered), 0.0
    for place, value in enumerate(ordered):
        expected = cdf(value)
        furthest = max(furthest, expected - place / count, (place + 1) / count - expected)
    return furthest


class Pace(NamedTuple):
    """Median tokens per second, and the deviation of their logarithm."""

    per_s: float
    log_sd: float


def fit_pace(rates: Sequence[float]) -> Pace:
    """From at least one sample; with fewer than `LEAST` no deviation is told."""
    ordered = sorted(rates)
    middle = quantile(ordered, 0.5)
    if len(ordered) < LEAST:
        return Pace(_short(middle), 0.0)
    spread = log(quantile(ordered, 0.9) / quantile(ordered, 0.1)) / (2 * _P90)
    return Pace(_short(middle), round(min(spread, MOST_SIGMA), 4))


def fit_prefill(samples: Sequence[tuple[float, int]]) -> float:
    """Milliseconds per prompt token, from (ms, prompt tokens); 0.0 where a longer prompt is not plainly slower.

    The resistant line of Tukey: between the medians of the thirds with the shortest and the longest prompts. It counts
    where the 95 % intervals of the two medians, of order statistics, do not meet.
    """
    third = len(samples) // 3
    if third < LEAST:
        return 0.0
    by_prompt = sorted(samples, key=lambda one: one[1])
    short, long = by_prompt[:third], by_prompt[-third:]
    apart = median(tokens for _, tokens in long) - median(tokens for _, tokens in short)
    low, high = sorted(ms for ms, _ in short), sorted(ms for ms, _ in long)
    margin = ceil(0.98 * sqrt(third))
    middle = third // 2
    if apart <= 0 or low[min(middle + margin, third - 1)] >= high[max(middle - margin, 0)]:
        return 0.0
    return _short((median(high) - median(low)) / apart)


class Lengths(NamedTuple):
    """The lognormal of answer lengths in tokens."""

    mu: float
    sigma: float


def fit_lengths(whole: Sequence[int], capped: Sequence[int]) -> Lengths | None:
    """From answers that ended by themselves and such that were cut, at the lengths given; None where these are too few.

    A cut answer would have been at least so long: it stands for the mean of the normal distribution's tail beyond
    (expectation maximisation).
    """
    if len(whole) < LEAST or len(capped) > len(whole):
        return None
    logs = [log(length) for length in whole]
    cuts = Counter(log(length) for length in capped)
    mu = fmean(logs)
    sigma = max(sqrt(fmean([(one - mu) ** 2 for one in logs])), 1e-6)
    total, own, squares = len(whole) + len(capped), sum(logs), sum(one * one for one in logs)
    for _ in range(_ROUNDS if cuts else 1):
        tails = [(count, *_beyond(cut, mu, sigma)) for cut, count in cuts.items()]
        mean = (own + sum(count * first for count, first, _ in tails)) / total
        square = (squares + sum(count * second for count, _, second in tails)) / total
        before, mu, sigma = mu, mean, sqrt(max(square - mean * mean, 1e-12))
        if abs(mu - before) < 1e-6:
            break
    return Lengths(round(max(mu, 0.0), 4), round(min(sigma, MOST_SIGMA), 4))


def _beyond(cut: float, mu: float, sigma: float) -> tuple[float, float]:
    """Mean and mean square of a normal variable that is known to be above ``cut``."""
    z = (cut - mu) / sigma
    tail = 1 - _NORMAL.cdf(z)
    hazard = _NORMAL.pdf(z) / tail if tail > 1e-12 else max(z, 0.0)
    return mu + sigma * hazard, mu * mu + sigma * sigma + sigma * (cut + mu) * hazard


def share(count: int, of: int) -> str:
    """A share with its 95 % interval (Wilson), in per cent."""
    if not of:
        return "n/a"
    z, rate = 1.96, count / of
    middle, width = rate + z * z / (2 * of), z * sqrt(rate * (1 - rate) / of + z * z / (4 * of * of))
    low, high = ((middle + sign * width) / (1 + z * z / of) for sign in (-1, 1))
    return f"{count} of {of}, {100 * max(low, 0):.2g} to {100 * min(high, 1):.2g} %"


def _samples(count: int) -> str:
    return f"{count} sample" + ("s" if count != 1 else "")


def _short(value: float) -> float:
    """Four significant digits: more is not measured."""
    return float(f"{value:.4g}") if value < inf else value
