"""A simulated LLM gateway that keeps the whole contract of `POST /v1/llm/auto`."""
