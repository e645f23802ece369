"""The yardstick: uvicorn at its fastest (uvloop, httptools, no access log) returning constant bytes.

`POST /288` is answered with 288 bytes, `POST /stream/288` with as many in chunks of a stream that ends at once. Run as
`python -m benchmarks.bare_app`; prints its address the way the mock does.
"""

from __future__ import annotations

import json
import socket
from typing import Any

import uvicorn


def constant_json(size: int) -> bytes:
    """A JSON string of exactly `size` >= 2 bytes."""
    return json.dumps("x" * (size - 2)).encode()


def answer_of(path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two ASGI messages of the answer that a path asks for."""
    kind, _, size = path.rpartition("/")
    body = constant_json(int(size))
    headers = [(b"content-type", b"text/event-stream" if kind else b"application/json")]
    if not kind:
        headers.append((b"content-length", str(len(body)).encode()))
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    return start, {"type": "http.response.body", "body": body}


def bare_app() -> Any:
    """An ASGI app that reads the request's body and answers as its path says."""
    answers: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        if path not in answers:
            answers[path] = answer_of(path)
        start, answer = answers[path]
        while (await receive()).get("more_body"):
            pass
        await send(start)
        await send(answer)

    return app


def serve() -> None:
    """Serve on a free port of 127.0.0.1 until stopped."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        bare_app(), loop="uvloop", http="httptools", lifespan="off", access_log=False, log_level="warning"
    )
    print(f"bare app ready on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    serve()
