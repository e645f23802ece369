"""A simulated LLM gateway that keeps the whole contract of `POST /v1/llm/auto`."""

import atexit
import gc

# While the interpreter takes modules down, its collector can free msgspec's types in an order that crashes msgspec
# (its issue 717): at exit nothing more needs collecting.
atexit.register(gc.freeze)
