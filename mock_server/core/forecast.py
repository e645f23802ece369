"""When a call whose attempt is going to fail will have ended at the latest: through all failover still to come.

Which candidates are passed over depends on breakers, and these on what other calls in flight come to. So every route is
followed that is possible, and the latest end of all of them counts; where no breaker is near its limit, that is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mock_server.core.breaker import Breaker
from mock_server.core.provider import Attempt
from mock_server.core.routing import Candidate


def latest_end(
    begins: float,
    numbers: range,
    candidates: Sequence[Candidate],
    breakers: Mapping[str, Breaker],
    in_flight: int,
    plan: Callable[[Candidate, int, float], Attempt],
) -> float:
    """The latest end of a call that goes on at ``begins`` with the attempts of these ``numbers``.

    ``plan`` says what an attempt of a number on a candidate would be, and changes nothing; ``in_flight`` is how many
    calls may fail meanwhile. What calls that are still to come will do is not known.
    """
    ended = begins
    reached = {numbers.start: begins}  # the number of the next attempt -> the latest moment at which it is begun
    for candidate in candidates:
        breaker, onward = breakers[candidate.provider], dict[int, float]()
        for number, at in reached.items():
            if number not in numbers:
                continue
            if breaker.may_refuse(in_flight):
                onward[number] = max(at, onward.get(number, at))
            if breaker.may_allow(at):
                attempt = plan(candidate, number, at)
                ended = max(ended, attempt.ends_at)
                if attempt.failure is not None:
                    onward[number + 1] = max(attempt.ends_at, onward.get(number + 1, attempt.ends_at))
        reached = onward
    return ended
