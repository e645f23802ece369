"""What `mock-server conform` does unless told otherwise."""

from __future__ import annotations

from typing import Final

from mock_server.contract.accounts import TEST_KEYS

PAID_CALLS: Final = 5
TOKENS: Final = 5_000
TIMEOUT_S: Final = 60.0
PATIENCE_S: Final = 60.0
MOCK_KEY: Final = next(row.key for row in TEST_KEYS if row.plan == "pro" and row.fate == "normal" and row.balance)
"""The mock's key that is the most like a customer's."""
MOCK_KEYS: Final = {
    402: next(row.key for row in TEST_KEYS if row.fate == "normal" and row.balance == 0),
    429: next(row.key for row in TEST_KEYS if row.plan == "single"),
    500: next(row.key for row in TEST_KEYS if row.fate == "error"),
    502: next(row.key for row in TEST_KEYS if row.fate == "outage"),
}
"""The mock's keys that are answered with a status."""
GIVABLE: Final = tuple(MOCK_KEYS)
"""The statuses for which a key can be given that calls them forth."""
