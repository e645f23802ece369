"""The only code that knows ASGI and Starlette: it plays what the engine decided."""
