"""``SimulatedHost``: the editor's side of the bridge, answering by a script. It serves any trio stream: sockets, or streams in memory.

It is also the example of a host: :class:`~tercet.codecs.serving.host_bridge_session.HostSession` keeps the protocol's rules, and what is
left is to read, to ask the models, and to write.
"""

from __future__ import annotations

import inspect

import trio

from tercet.codecs.serving.base import ServedError
from tercet.codecs.serving.host_bridge import HostBridgeServing
from tercet.codecs.serving.host_bridge_session import (
    Asked,
    CancelAsked,
    ChatAsked,
    CountAsked,
    HostSession,
    ModelsAsked,
)
from tercet.codecs.vocabulary import ChatRequest, Model, StreamToken, UsageReport

from .script import Answer, Break, Failure, Insert, Script, StreamError, as_reply, echo, step

__all__ = ["SimulatedHost"]


class SimulatedHost:
    """An editor that takes ``token`` and answers by ``script`` (an echo by default). ``models`` are the ids that it lists and knows.

    Faults of a script that mean something here: failures, breaks (``end``, ``reset`` and ``stall``), inserted bytes, errors in the stream.
    ``chats`` are the requests that came in, ``cancelled`` counts the answers that nobody wanted any more, ``open_connections`` those
    that are served now.
    """

    def __init__(
        self, token: str, script: Script | None = None, *, models: tuple[str, ...] = ("gpt-4o",)
    ) -> None:
        self.script: Script = echo() if script is None else script
        self.models = models
        self.chats: list[ChatRequest] = []
        self.cancelled = 0
        self.connections: int = 0
        self.open_connections: int = 0
        self._token = token
        self._steps = 0

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends, and close it. Cancelled, it closes the connection."""
        self.connections += 1
        self.open_connections += 1
        try:
            async with stream:
                await _Served(self, stream, HostSession(self._token, host="a simulated editor")).run()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has gone, or a script has broken the connection
        finally:
            self.open_connections -= 1

    async def next_answer(self, request: ChatRequest) -> Answer:
        """What the script says to a request."""
        self.chats.append(request)
        self._steps += 1
        answer = step(self.script, self._steps)
        if not callable(answer):
            return answer
        given = answer(request, len(self.chats))
        return await given if inspect.isawaitable(given) else given


class _Served:
    """One connection."""

    def __init__(self, host: SimulatedHost, stream: trio.abc.Stream, session: HostSession) -> None:
        self._host = host
        self._stream = stream
        self._session = session
        self._scopes: dict[int, trio.CancelScope] = {}
        self._sending = trio.Lock()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            while not self._session.is_over:
                chunk = await self._stream.receive_some(65536)
                if not chunk:
                    break
                for asked in self._session.receive(bytes(chunk)):
                    self._take(asked, nursery)
                await self._flush()
            nursery.cancel_scope.cancel()  # a connection that ends cancels all that it has asked

    def _take(self, asked: Asked, nursery: trio.Nursery) -> None:
        serving = HostBridgeServing(asked.id)
        match asked:
            case ChatAsked():
                self._scopes[asked.id] = trio.CancelScope()
                nursery.start_soon(self._chat, asked, serving, nursery)
            case CountAsked():
                words = sum(len(turn.text.split()) for turn in asked.request.turns)
                self._session.answer(asked.id, serving.count(words), is_last=True)
            case ModelsAsked():
                listed = serving.models([Model(id) for id in self._host.models])  # noqa: A001  # the API's own word
                self._session.answer(asked.id, listed, is_last=True)
            case CancelAsked():
                self._scopes[asked.id].cancel()

    async def _chat(self, asked: ChatAsked, serving: HostBridgeServing, nursery: trio.Nursery) -> None:
        is_answered = False
        try:
            with self._scopes[asked.id]:
                await self._answer(asked, serving)
                is_answered = True
        finally:
            del self._scopes[asked.id]
            self._host.cancelled += not is_answered
        if self._session.is_over:
            nursery.cancel_scope.cancel()

    async def _answer(self, asked: ChatAsked, serving: HostBridgeServing) -> None:
        request = asked.request
        if request.model not in self._host.models:
            self._session.fail(asked.id, "not_found", f"there is no model {request.model!r}")
            await self._flush()
            return
        answer = await self._host.next_answer(request)
        if isinstance(answer, Failure):
            message = answer.message or f"The simulated editor fails with {answer.status}."
            error = serving.stream_error(ServedError(answer.status, answer.code or "", message))
            self._session.answer(asked.id, error, is_last=True)
            await self._flush()
            return
        reply = as_reply(answer)
        tokens: list[StreamToken] = [
            token for token in reply.said_to(request) if asked.usage or not isinstance(token, UsageReport)
        ]
        pieces = list(serving.stream(tokens, model=request.model))
        await trio.sleep(reply.first_delay)
        for sent, piece in enumerate(pieces):
            if sent:
                await trio.sleep(reply.pace)
            match reply.fault:
                case Break(how, after) if after == sent or (after is None and not sent):
                    await self._break(how)
                    return
                case StreamError(told, after) if after == sent:
                    self._session.answer(asked.id, serving.stream_error(told), is_last=True)
                    await self._flush()
                    return
                case Insert(data, after) if after == sent:
                    self._session.answer(asked.id, data, is_last=False)
                case _:
                    pass
            self._session.answer(asked.id, piece, is_last=sent == len(pieces) - 1)
            await self._flush()

    async def _break(self, how: str) -> None:
        if how == "stall":
            await trio.sleep_forever()
        await self._stream.aclose()

    async def _flush(self) -> None:
        async with self._sending:
            data = self._session.to_send()
            if data:
                await self._stream.send_all(data)
