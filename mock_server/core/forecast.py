"""What is to come of a call whose attempt is going to fail: through all failover still to come.

Which candidates are passed over depends on breakers, and these on what other calls in flight come to; what strikes an
answer may depend on how many calls a rule saw before. So every route and every strike that is possible is followed,
and the latest end and the most tokens of all of them count; where nothing depends on others, that is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from mock_server.core.breaker import Breaker
from mock_server.core.faults import NO_FAULT
from mock_server.core.limits import Outlook
from mock_server.core.provider import Attempt
from mock_server.core.routing import Candidate
from mock_server.core.rules import Strike


class Stakes(Struct, frozen=True, gc=False):
    """What of a call's plan is the same for all attempts: tokens ``taken`` of the minute's, and those of its prompt.

    ``prompt_tokens`` is None for an answer that costs nothing. All moments are put off by so many seconds.
    """

    taken: int
    prompt_tokens: int | None
    puts_off_s: float

    def outlook(self, attempt: Attempt, strike: Strike) -> Outlook:
        """What comes of an attempt whose answer, should there be one, is struck so."""
        fault, passage = strike.fault or NO_FAULT, attempt.passage
        if passage is None:  # where no other attempt follows, that is the end
            ends_by = attempt.ends_at + self.puts_off_s
            return Outlook(ends_by, ends_by, -self.taken)
        if strike.code is not None:
            return Outlook(attempt.started, attempt.started, -self.taken)
        ends_by = attempt.ends_at + fault.holds_s
        if fault.refunds:
            return Outlook(ends_by, ends_by, -self.taken)
        used = 0 if self.prompt_tokens is None else self.prompt_tokens + passage.tokens
        return Outlook(ends_by, attempt.ends_at if fault.stage == "before_done" else ends_by, used - self.taken)


def at_most(outlooks: Iterable[Outlook]) -> Outlook:
    """The latest and the most of several possible outlooks."""
    ends, settled, tokens = zip(*((each.ends_by, each.settles_by, each.tokens) for each in outlooks), strict=True)
    return Outlook(max(ends), max(settled), max(tokens))


def failover(
    begins: float,
    numbers: range,
    candidates: Sequence[Candidate],
    breakers: Mapping[str, Breaker],
    in_flight: int,
    plan: Callable[[Candidate, int, float], Attempt],
) -> list[Attempt]:
    """All attempts there may be of a call that goes on at ``begins`` with attempts of these ``numbers``.

    ``plan`` says what an attempt of a number on a candidate would be, and changes nothing; ``in_flight`` is how many
    calls may fail meanwhile. What calls that are still to come will do is not known.
    """
    attempts = []
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
                attempts.append(attempt)
                if attempt.failure is not None:
                    onward[number + 1] = max(attempt.ends_at, onward.get(number + 1, attempt.ends_at))
        reached = onward
    return attempts
