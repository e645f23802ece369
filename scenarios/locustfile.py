"""What Locust loads: ``locust -f scenarios/locustfile.py --host …``, and the workers of ``load-test run``.

A worker of ``load-test run`` finds its plan in the folder named by ``LOAD_TEST_PARTS``. In plain Locust the
options below make the plan; with a master and workers the master sends it to them.
"""

from __future__ import annotations

import os
from pathlib import Path

from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from scenarios.command import plain
from scenarios.players.locust import child
from scenarios.players.locust.hooks import on
from scenarios.players.locust.users import GatewayUser as GatewayUser


def _options(parser: LocustArgumentParser) -> None:
    plain.add_options(parser)


def _init(environment: Environment, **_: object) -> None:
    folder = os.environ.get("LOAD_TEST_PARTS")
    if folder:
        child.attach(environment, Path(folder), int(os.environ["LOAD_TEST_WORKER"]))
    else:
        plain.attach(environment)


on(events.init_command_line_parser, _options)
on(events.init, _init)
