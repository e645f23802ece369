"""The yardstick of the generator's benchmark: plain Locust, whose `FastHttpUser`s send the same bodies.

`python -m benchmarks.fast_http_user URL USERS SECONDS` prints how many requests were answered and in what time.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from time import monotonic, process_time
from typing import Final

from locust import FastHttpUser, task
from locust.env import Environment

import gevent  # isort: skip - locust patches what it must before
from benchmarks.harness import KEY, PATH
from scenarios.command.catalogue import find
from scenarios.model.workload import mixed_call

SCENARIO: Final = Path(__file__).with_name("short_calls.toml")
_BODIES: Final = 2_000
_WARM_UP_S: Final = 2.0
_HEADERS: Final = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


def main(url: str, users: int, seconds: float) -> None:
    """Load for so long after a warm-up, and print what came of it."""
    workload = find(str(SCENARIO)).workload
    bodies = itertools.cycle([mixed_call(workload, 1, number).body.decode() for number in range(_BODIES)])

    class User(FastHttpUser):
        host = url

        @task
        def ask(self) -> None:
            self.client.post(PATH, data=next(bodies), headers=_HEADERS)

    environment = Environment(user_classes=[User])
    runner = environment.create_local_runner()
    runner.start(users, spawn_rate=users)
    gevent.sleep(_WARM_UP_S)
    total = environment.stats.total
    before, began_s, cpu_s = total.num_requests, monotonic(), process_time()
    gevent.sleep(seconds)
    answered, took_s, cpu_s = total.num_requests - before, monotonic() - began_s, process_time() - cpu_s
    print(json.dumps({"requests": answered, "failed": total.num_failures, "took_s": took_s, "cpu_s": cpu_s}))
    runner.quit()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
