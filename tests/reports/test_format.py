import pytest

from reports import format as shown
from reports.gate import Gate
from reports.values import Estimate


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0.42, "0.42 ms"),
        (8.31, "8.3 ms"),
        (812.4, "812 ms"),
        (999.6, "1.00 s"),
        (1240, "1.24 s"),
        (83_500, "83.5 s"),
        (725_000, "12 min 5 s"),
        (-3.2, "-3.2 ms"),
    ],
)
def test_durations_read_like_people_write_them(ms: float, text: str) -> None:
    assert shown.duration(ms) == text


@pytest.mark.parametrize(("value", "text"), [(1_000_000, "1,000,000"), (0, "0"), (12.34, "12.3"), (1234.5, "1,234")])
def test_numbers_have_thousands_separated(value: float, text: str) -> None:
    assert shown.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 %"), (1, "100 %"), (0.00042, "0.042 %"), (0.042, "4.2 %"), (0.9731, "97.3 %"), (0.99995432, "99.9954 %")],
)
def test_shares_are_percentages(value: float, text: str) -> None:
    assert shown.share(value) == text


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (Estimate(unit="ms", n=500, value=812.0), "812 ms"),
        (Estimate(unit="ms", n=500, above=30_000.0), "> 30.0 s"),
        (Estimate(unit="ms", n=212, needed=368), "n/a (n=212 < 368)"),
        (Estimate(unit="ms", n=0, needed=368), "n/a"),
        (Estimate(unit="share", n=0), "n/a"),
    ],
)
def test_an_estimate_says_what_is_known(seen: Estimate, text: str) -> None:
    assert shown.estimate_text(seen) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(780.0, 901.0, "780 ms – 901 ms"), (780.0, None, "over 780 ms"), (None, 901.0, "under 901 ms"), (None, None, "")],
)
def test_an_interval_shows_its_open_side(low: float | None, high: float | None, text: str) -> None:
    assert shown.interval_text(Estimate(unit="ms", n=500, value=812.0, low=low, high=high)) == text


def test_limits_show_their_side_and_unit() -> None:
    assert shown.gate_limit(Gate("scheduled_p95_ms", max=2000), "ms") == "≤ 2.00 s"
    assert shown.gate_limit(Gate("goodput_per_s", min=19.5), "per_s") == "≥ 19.5/s"


@pytest.mark.parametrize(
    ("iso", "text"),
    [
        ("2025-01-02T03:04:05Z", "2025-01-02 03:04:05 UTC"),
        ("2025-01-02T03:04:05.678+02:00", "2025-01-02 01:04:05 UTC"),
        ("yesterday", "yesterday"),
    ],
)
def test_moments_are_in_utc(iso: str, text: str) -> None:
    assert shown.moment(iso) == text
