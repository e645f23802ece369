"""aiohttp, streams read by aiohttp-sse-client2, which connects again by itself: after every clean end, for ever."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import aiohttp
from aiohttp_sse_client2.client import EventSource
from calls import TIMEOUT_S, Call, calls

PAUSE = timedelta(milliseconds=10)
TRIES_MORE = 1


class AgainError(Exception):
    """A second stream has ended cleanly, too."""


async def read(call: Call, session: aiohttp.ClientSession) -> None:
    """Read to the terminal event, or to the end of the second stream of those it would ask for."""
    opened: list[None] = []

    def lost() -> None:
        if len(opened) > 1:
            raise AgainError

    source = EventSource(
        *(call.url, {"method": "POST"}, PAUSE, TRIES_MORE, session),
        on_open=lambda: opened.append(None),
        on_error=lost,
        headers=call.headers,
        json=call.body,
    )
    with suppress(AgainError):
        async with source:
            async for event in source:
                call.event(event.data)
                if call.complete:
                    break


async def make() -> None:
    """Make the calls."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT_S)) as session:
        for call in calls():
            with call:
                if call.stream:
                    await read(call, session)
                else:
                    async with session.post(call.url, headers=call.headers, json=call.body) as response:
                        call.answer(await response.read())


asyncio.run(make())
