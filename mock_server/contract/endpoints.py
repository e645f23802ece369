"""The endpoints of the API, and the documented words about them."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from mock_server.contract.provenance import DOCUMENTED, Provenance

TITLE: Final = "API Documentation"
SUBTITLE: Final = "Quick start guide with code examples"
INTRODUCTION: Final = (
    "Our REST API provides programmatic access to manage and retrieve data. All requests require authentication "
    "using an API key passed in the Authorization header."
)
BASE_URL: Final = "https://apiflowx.top"
AUTHENTICATION: Final = "Bearer token"
RESPONSE_FORMAT: Final = "JSON"
TEST_PREFIX: Final = "/__test__/"
"""What a base URL ends with, and a test id after it, for clients that cannot set headers: the mock's own."""
PLACEHOLDER_KEY: Final = "YOUR_API_KEY"
"""What stands for the reader's key in the code examples."""
QUICK_TIPS: Final[tuple[str, ...]] = (
    "Set strategy.mode to auto for best model selection",
    "Pass stream: false for standard JSON response",
    "Keep payload minimal for easier debugging",
)


class Endpoint(Struct, frozen=True):
    """One endpoint: where it is and what it is for."""

    method: Literal["POST"]
    path: str
    name: str
    summary: str
    provenance: Provenance


LLM_AUTO: Final = Endpoint(
    "POST",
    "/v1/llm/auto",
    "LLM Auto Route",
    "Automatically select and use the best LLM model for your task",
    DOCUMENTED,
)
ENDPOINTS: Final[tuple[Endpoint, ...]] = (LLM_AUTO,)
