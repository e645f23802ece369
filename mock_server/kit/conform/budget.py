"""What may still be spent. A call counts at its worst before it is sent, and as what it was once that is known."""

from __future__ import annotations

from mock_server.kit.conform.probes import ATTEMPTS, NOWHERE_PROBE, Probe
from mock_server.kit.conform.seen import Exchange
from mock_server.kit.conform.wire import NoReply


class Budget:
    """Mutable: how many ``calls`` may be paid, how many ``tokens`` at worst, and how many the answers ``told`` of.

    A call that no gateway can answer costs nothing, unless it was answered and tells what it cost; neither does one
    that is refused with 4xx. Nor does one for a model that there is not, from when the gateway has shown that it
    refuses those. Any other counts with every attempt that the gateway may have made, should it charge for those that
    failed; one that brought no answer, or 5xx, with all that it might have cost.
    """

    def __init__(self, calls: int, tokens: int) -> None:
        self.most_calls, self.most_tokens = calls, tokens
        self.calls = self.tokens = self.told = 0
        self._heeds_models = False

    def why_not(self, probe: Probe) -> str:
        """Why the budget does not allow a probe; empty where it does."""
        if self._is_free(probe):
            return ""
        if self.calls >= self.most_calls:
            return f"{self.calls} calls may have been paid, which is all that --paid {self.most_calls} allows"
        worst = self.tokens + ATTEMPTS * probe.costs
        if worst > self.most_tokens:
            return f"at worst {worst:,} tokens would have been paid, more than --budget {self.most_tokens:,}"
        return ""

    def count(self, exchange: Exchange) -> None:
        """Count what was sent."""
        probe, answer = exchange.probe, exchange.answer
        if isinstance(answer, str) or (isinstance(answer, NoReply) and not answer.sent):
            return
        if probe.nowhere:
            self._heeds_models = 400 <= exchange.status < 500 and (self._heeds_models or probe.name == NOWHERE_PROBE)
        told = _told_tokens(exchange)
        answered = 200 <= exchange.status < 300 and (probe.costs or told is not None)
        if not answered and (self._is_free(probe) or 300 <= exchange.status < 500):
            return
        self.calls += 1
        self.told += told or 0
        self.tokens += ATTEMPTS * max(probe.costs if told is None else 0, told or 0)

    def _is_free(self, probe: Probe) -> bool:
        return not probe.costs or (probe.nowhere and self._heeds_models)


def _told_tokens(exchange: Exchange) -> int | None:
    """What the answer says that it cost, be it a document or a stream; None where it does not."""
    if exchange.status >= 300:
        return None
    for document in exchange.documents():
        usage = document.get("usage")
        total = usage.get("total_tokens") if isinstance(usage, dict) else None
        if isinstance(total, int) and not isinstance(total, bool) and total >= 0:
            return total
    return None
