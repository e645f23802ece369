"""A raw gateway that can misbehave in any way."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading

USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
DOCUMENT = {
    "success": True,
    "model": "m-1",
    "response": "hello",
    "usage": USAGE,
    "provider": "p-1",
    "request_id": "req_0000001",
}
OPENING = {
    "success": True,
    "request_id": "req_0000001",
    "model": "m-1",
    "provider": "p-1",
    "response": "",
    "done": False,
}
TERMINAL = {"response": "", "done": True, "finish_reason": "stop", "usage": USAGE}


def stream_events() -> list[str]:
    """The data of a valid stream's events."""
    pieces = [{"response": text, "done": False} for text in ("he", "llo", " 世界")]
    return [*(json.dumps(event, ensure_ascii=False) for event in (OPENING, *pieces, TERMINAL)), "[DONE]"]


def envelope(code: str, message: str = "no") -> bytes:
    return json.dumps({"success": False, "error": {"code": code, "message": message}}).encode()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class StubGateway:
    """A server on a free port; ``modes`` say in turn how it answers the next requests."""

    def __init__(self) -> None:
        self.modes = ["ok"]
        # Bodies of all requests, in the order they came.
        self.bodies: list[bytes] = []
        self.heads: list[str] = []
        self.first_request = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(5)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._client, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
                body = await reader.readexactly(length)
                self.heads.append(head)
                self.bodies.append(body)
                self.first_request.set()
                mode = self.modes[len(self.bodies) % len(self.modes)]
                if not await self._answer(writer, body, mode):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, body: bytes, mode: str) -> bool:
        match mode:
            case "slow":
                await asyncio.sleep(0.7)
                return await self._answer(writer, body, "ok")
            case "hang":
                await asyncio.sleep(3600)
            case "reset":
                # Closing with unsent data thrown away sends RST instead of FIN.
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return False
            case "not_http":
                writer.write(b"SSH-2.0-x\r\n\r\n")
                await writer.drain()
                return False
            case "close":
                return False
            case "denied":
                self._plain(writer, 401, envelope("INVALID_API_KEY"))
            case "garbage":
                self._plain(writer, 200, b"<html>")
            case "truncated_stream":
                self._stream(writer, stream_events()[:3])
                await writer.drain()
                return False
            case _ if b'"stream":true' in body:
                self._stream(writer, stream_events())
                writer.write(b"0\r\n\r\n")
            case _:
                self._plain(writer, 200, json.dumps(DOCUMENT).encode())
        await writer.drain()
        return True

    def _plain(self, writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json; charset=utf-8\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def _stream(self, writer: asyncio.StreamWriter, events: list[str]) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for event in events:
            data = f"data: {event}\n\n".encode()
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def stop(self) -> None:
        async def end() -> None:
            self._server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
