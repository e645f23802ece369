"""Whether the other end of a connection has hung up, where nobody reads from it.

The loop sees a client leave when it has read all that came before. While reading is paused that moment does not come;
on Linux the kernel knows nonetheless.
"""

from __future__ import annotations

import sys

if sys.platform == "linux":
    import select

    def has_hung_up(file: int) -> bool:
        """Whether the other end of this socket has closed it, shut down its sending side, or reset it."""
        look = select.poll()
        look.register(file, select.POLLRDHUP)  # a reset is told of unasked
        return bool(look.poll(0))

else:

    def has_hung_up(file: int) -> bool:  # noqa: ARG001 - this system does not tell
        """Whether the other end has hung up; False, as this system does not tell."""
        return False
