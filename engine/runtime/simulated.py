"""The provider ``simulated``: inside the process, no key, no network. For trying out and for examples.

It is a fleet of one (``engine/testing``) behind an in-memory network, started in the manager's nursery when first asked, so a request
to it walks the whole way: wire, transport, HTTP, streamed bytes. Its models are scripts: ``echo`` says back the last user message,
``lorem`` talks nonsense at the pace of a model, ``think`` reasons first, ``tool`` calls the first tool it was offered, ``cut``
breaks off in mid-answer, ``busy`` answers 429.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from tercet.adapters.call import Origin
from tercet.codecs.vocabulary import ChatRequest

from .transport import Connection, Network

if TYPE_CHECKING:
    from ..testing import MemoryNetwork

__all__ = ["SIMULATED_HOST", "SimulatedInside"]

SIMULATED_HOST = "simulated.invalid"
"""RFC 2606 section 2 keeps ``.invalid`` from ever being a real host."""


class SimulatedInside:
    """A network that reaches ``simulated.invalid`` inside the process, and everything else through ``network``."""

    def __init__(self, network: Network, nursery: trio.Nursery) -> None:
        self._network = network
        self._nursery = nursery
        self._inside: MemoryNetwork | None = None

    def forward_for(self, origin: Origin) -> Any:
        """What the real network says; nothing for the simulated host."""
        asked = getattr(self._network, "forward_for", None)
        return None if asked is None or origin.host == SIMULATED_HOST else asked(origin)

    async def connect(self, origin: Origin) -> Connection:
        """A connection to the origin. Raises what the real network raises; cancelling leaves nothing open."""
        if origin.host != SIMULATED_HOST:
            return await self._network.connect(origin)
        if self._inside is None:
            self._inside = await self._nursery.start(self._run, name="the simulated provider")
        assert self._inside is not None
        return await self._inside.connect(origin)

    async def _run(self, task_status: trio.TaskStatus[MemoryNetwork]) -> None:
        from ..testing import MemoryNetwork, SimulatedProvider

        models = ["echo", "lorem", "think", "tool", "cut", "busy"]
        provider = SimulatedProvider("simulated", "openai_chat", _script, models=models)
        async with MemoryNetwork() as network:
            network.serve(Origin("http", SIMULATED_HOST, 80), provider.serve)
            task_status.started(network)
            await trio.sleep_forever()


def _script(request: ChatRequest, n: int) -> Any:
    from ..testing import call_tool, cut, echo, fail, lorem, say, think_then

    match request.model:
        case "lorem":
            return lorem(60, pace=0.02, first_delay=0.2)
        case "think":
            return think_then(
                "The answer is 42.", "Let me see what was asked. It is the usual question.", pace=0.02
            )
        case "tool" if request.tools:
            return call_tool(request.tools[0].name, {})
        case "tool":
            return say("You offered no tool to call.")
        case "cut":
            return lorem(30, pace=0.02, fault=cut(after_events=12))
        case "busy":
            return fail(429, retry_after=1)
        case _:
            return echo(pace=0.01)(request, n)
