"""The token ledger of one account: reserve before, settle after, refund on failure.

Laws: ``balance - reserved`` is never negative by a reservation, so concurrent calls cannot overspend; the sum of all
settled amounts equals the balance's change.
"""

from __future__ import annotations


class Ledger:
    """Balance and reservations in tokens; ``balance=None`` is unlimited. Mutable, owned by one account."""

    __slots__ = ("balance", "charged", "opening", "reserved")

    def __init__(self, balance: int | None) -> None:
        self.balance = balance
        self.opening = balance  # what the balance would be had nothing been charged
        self.reserved = 0
        self.charged = 0

    def adjust(self, balance: int | None) -> None:
        """Set the balance; None is unlimited. Reservations stay."""
        self.balance = balance
        self.opening = None if balance is None else balance + self.charged

    @property
    def available(self) -> int | None:
        """What could still be reserved; None is unlimited."""
        return None if self.balance is None else self.balance - self.reserved

    def reserve(self, tokens: int) -> bool:
        """Set ``tokens`` aside; False, changing nothing, when they are not there."""
        if self.balance is not None and tokens > self.balance - self.reserved:
            return False
        self.reserved += tokens
        return True

    def settle(self, reserved: int, actual: int) -> None:
        """Release a reservation and charge ``actual`` (0 refunds all); never more than was reserved."""
        if not 0 <= actual <= reserved:
            msg = f"cannot charge {actual} tokens against a reservation of {reserved}"
            raise ValueError(msg)
        self.reserved -= reserved
        self.charged += actual
        if self.balance is not None:
            self.balance -= actual
