"""aiohttp, read line by line."""

import asyncio

import aiohttp
from calls import TIMEOUT_S, calls


async def make() -> None:
    """Make the calls."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT_S)) as session:
        for call in calls():
            with call:
                async with session.post(call.url, headers=call.headers, json=call.body) as response:
                    if call.stream:
                        async for line in response.content:
                            call.line(line.decode().rstrip("\r\n"))
                    else:
                        call.answer(await response.read())


asyncio.run(make())
