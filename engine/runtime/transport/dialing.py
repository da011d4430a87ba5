"""Names to addresses, addresses to one connected socket: happy eyeballs (RFC 8305).

The addresses are tried in turn, the families alternating, each one ``STAGGER`` after the one before or as soon as that failed; the
first to connect wins, the others are closed. Why each failed is kept and ends up in the message. ``happy_eyeballs`` is given
the function that makes an attempt, so its timing is tested on a clock that jumps.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import trio

from tercet.codecs.vocabulary import ConnectError

__all__ = ["Address", "Resolver", "connect_tcp", "dial", "happy_eyeballs", "interleave", "resolve"]

STAGGER = 0.25  # RFC 8305 section 8: "Connection Attempt Delay", recommended 250 ms

Address = tuple[int, Any]  # address family, socket address as the socket module wants it
Resolver = Callable[[str, int], Awaitable[Sequence[Address]]]


async def resolve(host: str, port: int) -> list[Address]:
    """The system's own resolver, in trio's thread; numeric addresses without one. Raises :class:`socket.gaierror`.

    A cancelled call leaves the thread to finish alone.
    """
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


def interleave(addresses: Sequence[Address]) -> list[Address]:
    """Alternate the families, beginning with the resolver's first choice (RFC 8305 section 4)."""
    if not addresses:
        return []
    first = [address for address in addresses if address[0] == addresses[0][0]]
    other = [address for address in addresses if address[0] != addresses[0][0]]
    mixed: list[Address] = []
    while first or other:
        if first:
            mixed.append(first.pop(0))
        if other:
            mixed.append(other.pop(0))
    return mixed


async def connect_tcp(address: Address) -> socket.socket:
    """A connected, non-blocking socket without Nagle's delay. Raises :class:`OSError`; closes the socket on any failure."""
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(where)
        if code in {errno.EINPROGRESS, errno.EWOULDBLOCK}:
            await trio.lowlevel.wait_writable(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        else:
            await trio.lowlevel.checkpoint()
        if code:
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock


async def happy_eyeballs(
    addresses: Sequence[Address],
    attempt: Callable[[Address], Awaitable[socket.socket]],
    *,
    stagger: float = STAGGER,
) -> tuple[socket.socket | None, list[tuple[Address, OSError]]]:
    """The first socket that connects, or None; and the failures so far, in order of their happening.

    A cancelled call closes every socket, also one that had just won.
    """
    failures: list[tuple[Address, OSError]] = []
    winner: socket.socket | None = None

    async def try_one(address: Address, failed: trio.Event) -> None:
        nonlocal winner
        try:
            sock = await attempt(address)
        except OSError as error:
            failures.append((address, error))
            failed.set()
            return
        if winner is None:
            winner = sock
            nursery.cancel_scope.cancel()
        else:
            sock.close()

    try:
        async with trio.open_nursery() as nursery:
            for address in addresses:
                failed = trio.Event()
                nursery.start_soon(try_one, address, failed)
                with trio.move_on_after(stagger):
                    await failed.wait()
    except BaseException:
        if winner is not None:
            winner.close()
        raise
    return winner, failures


async def dial(host: str, port: int, *, resolver: Resolver = resolve) -> socket.socket:
    """A connected socket to ``host``. Raises :class:`ConnectError` with the phase ``dns`` or ``tcp``.

    The caller sets the deadline. ``code`` of the error is the name of the system's error (``ECONNREFUSED``, ``EAI_NONAME``).
    """
    try:
        addresses = interleave(await resolver(host, port))
    except socket.gaierror as error:
        code = _name_of_gaierror(error.errno)
        temporary = error.errno == socket.EAI_AGAIN
        raise ConnectError(
            f"the name {host!r} could not be looked up: {error.strerror}",
            phase="dns",
            code=code,
            retryable=temporary,
        ) from error
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that IDNA cannot encode
        raise ConnectError(
            f"the name {host!r} could not be looked up: {error}", phase="dns", retryable=False
        ) from error
    if not addresses:
        raise ConnectError(f"the name {host!r} has no address", phase="dns", retryable=False)
    sock: socket.socket | None = None
    if len(addresses) == 1:  # no race, no nursery
        try:
            return await connect_tcp(addresses[0])
        except OSError as error:
            failures = [(addresses[0], error)]
    else:
        sock, failures = await happy_eyeballs(addresses, connect_tcp)
    if sock is not None:
        return sock
    reasons = "; ".join(f"{address[1][0]}: {error.strerror or error}" for address, error in failures)
    first = failures[0][1]
    code = errno.errorcode.get(first.errno) if first.errno else None
    raise ConnectError(f"could not connect to {host}:{port} ({reasons})", phase="tcp", code=code) from first


def _name_of_gaierror(number: int | None) -> str | None:
    names = (
        "EAI_NONAME",
        "EAI_AGAIN",
        "EAI_FAIL",
        "EAI_NODATA",
        "EAI_FAMILY",
        "EAI_MEMORY",
        "EAI_SERVICE",
        "EAI_SOCKTYPE",
    )
    return next((name for name in names if getattr(socket, name, None) == number), None)
