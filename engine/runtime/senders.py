"""Other ways to send a call than our own transport."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .attempt import Sender

if TYPE_CHECKING:
    import httpx

__all__ = ["httpx_sender"]


def httpx_sender(client: httpx.AsyncClient) -> Sender:
    """A sender over a program's own ``httpx.AsyncClient``, for its hooks, mounts and certificates.

    ``open_manager(senders={"openai": httpx_sender(client)})``. The client stays the program's: the manager does not close it.
    Costs about ten times the CPU of the built-in transport per request.
    """
    from .transport.httpx_bridge import HttpxTransport

    return HttpxTransport(client)
