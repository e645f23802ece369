"""aiohttp behind aiohttp-retry."""

import asyncio

import aiohttp
from aiohttp_retry import RetryClient
from calls import TIMEOUT_S, calls


async def make() -> None:
    """Make the calls."""
    timeout = aiohttp.ClientTimeout(sock_read=TIMEOUT_S)
    async with RetryClient(timeout=timeout, raise_for_status=True) as client:
        for call in calls():
            with call:
                async with client.post(call.url, headers=call.headers, json=call.body) as response:
                    if call.stream:
                        async for line in response.content:
                            call.line(line.decode().rstrip("\r\n"))
                    else:
                        call.answer(await response.read())


asyncio.run(make())
