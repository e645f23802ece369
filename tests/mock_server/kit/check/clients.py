"""Small real clients, good and bad: `python clients.py NAME`, as `mock-server check-client` runs them."""

from __future__ import annotations

import http.client
import json
import os
import random
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

RETRYABLE: Final = (408, 429, 500, 502)
PATIENT_S: Final = 5.0
TIMEOUT_S: Final = 2.0


def post(*, stream: bool, timeout: float | None = TIMEOUT_S) -> http.client.HTTPResponse:
    body = {"messages": [{"role": "user", "content": "Write a product introduction"}], "stream": stream}
    headers = {"Authorization": f"Bearer {os.environ['LLM_API_KEY']}", "Content-Type": "application/json"}
    url = f"{os.environ['LLM_BASE_URL']}/v1/llm/auto"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=timeout)
    return answer


def wait(seconds: float) -> None:
    threading.Event().wait(seconds)


def events(answer: http.client.HTTPResponse) -> Iterator[str]:
    """The data of each event, however it is divided into lines."""
    data: list[str] = []
    for raw in answer:
        line = raw.decode().rstrip("\r\n")
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []


def whole_stream() -> str:
    """Reads until [DONE]; what is not whole is an error."""
    pieces: list[str] = []
    finished = False
    with post(stream=True) as answer:
        for data in events(answer):
            if data == "[DONE]":
                if not finished:
                    raise ValueError("[DONE] before the end")
                return "".join(pieces)
            event = json.loads(data)
            if event.get("success") is False:
                raise ValueError(event["error"]["message"])
            pieces.append(event["response"])
            finished = event["done"]
    raise ValueError("the stream broke off")


def plain() -> str:
    with post(stream=False) as answer:
        return str(json.load(answer)["response"])


def pause(number: int, announced_s: float) -> float:
    """Seconds before the next try: the announced wait, or a back-off with jitter."""
    return announced_s * 1.05 or 0.15 * 2**number * (1 + random.random())  # noqa: S311


def careful(
    call: Callable[[], str],
    tries: int = 3,
    retryable: Sequence[int] = RETRYABLE,
    pause: Callable[[int, float], float] = pause,
) -> str:
    """Up to three tries, only of what may be tried again, after the announced wait or a back-off with jitter."""
    for number in range(tries):
        try:
            return call()
        except urllib.error.HTTPError as error:
            announced = float(error.headers.get("Retry-After") or 0)
            if error.code not in retryable or announced > PATIENT_S or number == tries - 1:
                raise
            wait(pause(number, announced))
    raise AssertionError


def blind() -> str:
    """Tries again in no time, whatever happened."""
    for _ in range(30):
        try:
            return plain()
        except (OSError, ValueError):
            continue
    return "nothing"


def gullible() -> str:
    """Takes what came of a stream for all of it."""
    pieces = []
    try:
        with post(stream=True) as answer:
            pieces += list(events(answer))
    except (OSError, http.client.HTTPException):
        pass
    return "".join(pieces)


def endless() -> str:
    """Has no timeout."""
    with post(stream=True, timeout=None) as answer:
        return "".join(events(answer))


def forgetful() -> str:
    """Starts something that it does not wait for."""
    left = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
    Path(os.environ["LEFT_BEHIND"]).write_text(str(left.pid), "utf-8")
    return plain()


def loud() -> str:
    """Says its key, and fails where the call does."""
    print("using", os.environ["LLM_API_KEY"], "and", os.environ.get("OTHER_SECRET", ""))
    with post(stream=True, timeout=None) as answer:
        return "".join(events(answer))


def spoilt() -> str:
    """After its first failure it never works again."""
    mark = Path(os.environ["LEFT_BEHIND"])
    if mark.exists():
        sys.exit("spoilt for ever")
    try:
        return plain()
    except OSError:
        mark.touch()
        raise


def silent() -> str:
    return "never called"


CLIENTS: Final[dict[str, Callable[[], Any]]] = {
    "good-plain": lambda: careful(plain),
    "good-stream": lambda: careful(whole_stream),
    "blind": blind,
    "gullible": gullible,
    "endless": endless,
    "forgetful": forgetful,
    "loud": loud,
    "spoilt": spoilt,
    "silent": silent,
}


def main() -> NoReturn:
    try:
        print(CLIENTS[sys.argv[1]]())
    except (OSError, ValueError, http.client.HTTPException) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    sys.exit(0)


if __name__ == "__main__":
    main()
