"""How much of what was sent the program at the other end has yet to read, where that program is on this machine.

TCP tells a sender what the other end's kernel has, not what its program has taken. On Linux the kernel answers for
both ends of a connection within one machine: sock_diag(7), asked for the socket of the other end.
"""

from __future__ import annotations

import socket
import sys
from struct import Struct
from typing import Any, Final

if sys.platform == "linux":
    _SOCK_DIAG: Final = 4  # linux/netlink.h: NETLINK_SOCK_DIAG
    _BY_FAMILY: Final = 20  # linux/sock_diag.h: SOCK_DIAG_BY_FAMILY
    _REQUEST: Final = 1  # linux/netlink.h: NLM_F_REQUEST
    # struct nlmsghdr; struct inet_diag_req_v2: family, protocol, extensions, states, and struct inet_diag_sockid
    _QUESTION: Final = Struct("=IHHII BBBBI 2s2s16s16sIQ")
    # struct nlmsghdr; struct inet_diag_msg up to idiag_rqueue, behind state, timer, struct inet_diag_sockid and expiry
    _ANSWER: Final = Struct("=IHHII 4B 48s I I")
    _ANY_STATE: Final = 0xFFFF_FFFF
    _NO_COOKIE: Final = 0xFFFF_FFFF_FFFF_FFFF

    def unread(connection: Any) -> int:
        """Bytes that wait at the other end of a TCP connection; 0 where that is another machine or cannot be told."""
        try:
            here, there = connection.getsockname(), connection.getpeername()
            ports = [address[1].to_bytes(2, "big") for address in (there, here)]
            hosts = [socket.inet_pton(connection.family, address[0]) for address in (there, here)]
            question = _QUESTION.pack(
                *(_QUESTION.size, _BY_FAMILY, _REQUEST, 0, 0),
                *(connection.family, socket.IPPROTO_TCP, 0, 0, _ANY_STATE),
                *(*ports, *hosts, 0, _NO_COOKIE),
            )
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
                kernel.setblocking(False)
                kernel.send(question)
                answer = kernel.recv(1024)
        except OSError:
            return 0
        if len(answer) < _ANSWER.size:
            return 0
        _, kind, *_, waiting = _ANSWER.unpack_from(answer)
        return int(waiting) if kind == _BY_FAMILY else 0

else:

    def unread(connection: Any) -> int:  # noqa: ARG001 - this system does not tell
        """Bytes that wait at the other end; 0, as this system does not tell."""
        return 0
