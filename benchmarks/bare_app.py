"""The yardstick: uvicorn at its fastest (uvloop, httptools, no access log) returning constant bytes.

Run as `python -m benchmarks.bare_app BYTES`; prints its address the way the mock does.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

import uvicorn


def constant_json(size: int) -> bytes:
    """A JSON string of exactly `size` >= 2 bytes."""
    return json.dumps("x" * (size - 2)).encode()


def bare_app(body: bytes) -> Any:
    """An ASGI app that reads the request's body and answers `body`."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    answer = {"type": "http.response.body", "body": body}

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send(start)
        await send(answer)

    return app


def serve(body: bytes) -> None:
    """Serve on a free port of 127.0.0.1 until stopped."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        bare_app(body), loop="uvloop", http="httptools", lifespan="off", access_log=False, log_level="warning"
    )
    print(f"bare app ready on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    serve(constant_json(int(sys.argv[1])))
