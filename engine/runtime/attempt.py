"""One attempt: a call on the wire, up to the first content (streamed) or to the whole answer.

Everything here runs in the attempt's own task, in its lane's nursery. What it hands over, an :class:`OpenAnswer`, is read on by
the consumer's task. Nothing stays open when one of these functions raises, cancellation included.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
import trio

from tercet.adapters.adapter import Adapter
from tercet.adapters.auth import Credential
from tercet.adapters.call import HttpCall
from tercet.adapters.rate_limits import parse_retry_after, should_retry_hint
from tercet.codecs.processor import StreamProcessor
from tercet.codecs.vocabulary import ChatResponse, ProtocolError, StreamToken, TercetError, unfold
from tercet.codecs.vocabulary.tokens import CONTENT_TOKENS, Finish
from tercet.codecs.wire.shared import masked, request_id

from ..control import Clocks
from .settlement import Settlement
from .ticket import Ticket
from .transport import Response

__all__ = ["OpenAnswer", "Sender", "check_status", "open_answer", "read_whole"]

BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of a whole answer; answers with images and long documents stay far below."""
_ERROR_BODY_LIMIT = 256 * 1024
_ERROR_BODY_SECONDS = 5.0
_PAGES = ("text/html", "application/xhtml+xml")


class Sender(Protocol):
    """What an attempt needs of a transport."""

    async def send(
        self, call: HttpCall, *, connect_timeout: float = 10.0, accept_encoding: str = "identity"
    ) -> Response:
        """Send a call; return with the head of its answer."""
        ...


class OpenAnswer:
    """An answer that has shown content: the open response, what reads it, and the tokens found so far."""

    __slots__ = ("adapter", "ended", "model", "processor", "request_id", "response", "settlement", "tokens")

    def __init__(
        self,
        ticket: Ticket,
        response: Response,
        processor: StreamProcessor,
        tokens: list[StreamToken],
        *,
        ended: bool,
        settlement: Settlement,
    ) -> None:
        self.adapter: Adapter = ticket.adapter
        self.model: str = ticket.model
        self.response: Response = response
        self.processor: StreamProcessor = processor
        self.tokens: list[StreamToken] = tokens
        self.ended: bool = ended
        self.settlement: Settlement = settlement
        self.request_id: str | None = request_id(response.headers)

    def abandon(self) -> None:
        """Close it unread: its caller has gone."""
        self.response.close()
        self.settlement.settle(None, None)


async def open_answer(
    ticket: Ticket, sender: Sender, credential: Credential, clocks: Clocks, settlement: Settlement
) -> OpenAnswer:
    """Send the ticket's request, read to the first content token or to the end. Raises typed errors."""
    adapter, model = ticket.adapter, ticket.model
    call = credential.authorize(adapter.chat(ticket.request, model, stream=True), settlement.signing_time())
    response = await _send(sender, call, clocks)
    try:
        settlement.observe(response.headers)
        await check_status(response, adapter, model, settlement.wall)
        await _refuse_page(response, adapter)
        processor = adapter.processor(model, ticket.transformers)
        if _media_type(response) == "application/json":
            return await _unstreamed(ticket, response, processor, settlement)
        tokens: list[StreamToken] = []
        ended = False
        while not ended:
            chunk = await response.receive()
            ended = not chunk
            found = processor.process_chunk(chunk) if chunk else processor.finish()
            tokens += found
            if any(isinstance(token, CONTENT_TOKENS) or type(token) is Finish for token in found):
                break
        settlement.first_content()
        return OpenAnswer(ticket, response, processor, tokens, ended=ended, settlement=settlement)
    except BaseException:
        response.close()
        raise


async def _unstreamed(
    ticket: Ticket, response: Response, processor: StreamProcessor, settlement: Settlement
) -> OpenAnswer:
    """A stream was asked for and ``application/json`` came: one whole answer (some gateways do that), or a stream under a wrong name."""
    body = await response.read(BODY_LIMIT)
    if body.lstrip()[:1] == b"{":
        tokens = unfold(ticket.adapter.response(body, ticket.model))
        for transformer in ticket.transformers:
            tokens = transformer.transform(tokens) + transformer.finish()
    else:
        tokens = processor.process_chunk(body)
        tokens += processor.finish()
    settlement.first_content()
    return OpenAnswer(ticket, response, processor, tokens, ended=True, settlement=settlement)


async def read_whole(
    ticket: Ticket, sender: Sender, credential: Credential, clocks: Clocks, settlement: Settlement
) -> ChatResponse:
    """Send the ticket's request and read the whole answer."""
    adapter, model = ticket.adapter, ticket.model
    call = credential.authorize(adapter.chat(ticket.request, model, stream=False), settlement.signing_time())
    response = await _send(sender, call, clocks, "gzip, deflate")
    try:
        settlement.observe(response.headers)
        await check_status(response, adapter, model, settlement.wall)
        await _refuse_page(response, adapter)
        body = await response.read(BODY_LIMIT)
    finally:
        response.close()
    answer = adapter.response(body, model)
    return msgspec.structs.replace(answer, request_id=request_id(response.headers))


async def check_status(
    response: Response, adapter: Adapter, model: str | None, wall: Callable[[], float]
) -> None:
    """Raise the typed error of an answer that is not 2xx. Its body is read within a limit and a few seconds."""
    status, headers = response.status, response.headers
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise ProtocolError(
            f"{adapter.id} answered {status} and points elsewhere; redirects are not followed with a key. "
            "Set the provider's base URL to the right address.",
            status=status,
            retryable=False,
        )
    body = b""
    with trio.move_on_after(_ERROR_BODY_SECONDS):
        try:
            body = await response.read(_ERROR_BODY_LIMIT)
        except TercetError:
            body = b""  # the status is the news; a cut or endless error body adds nothing to it
    error = adapter.error(status, headers, body, model=model)
    error.at(
        status=status,
        retry_after=parse_retry_after(headers, wall_now=wall()),
        request_id=request_id(headers),
    )
    hint = should_retry_hint(headers)
    if hint is not None:
        error.retryable = hint
    raise error


async def _refuse_page(response: Response, adapter: Adapter) -> None:
    """Raise :class:`ProtocolError` if the answer is a page for people: a portal's or a gateway's, whatever its status says.

    Every other type is taken for what was asked for: servers stream events as text/plain, as octets, and without any type.
    """
    media_type = _media_type(response)
    if media_type not in _PAGES:
        return
    said = " ".join((await response.receive())[:2000].decode("utf-8", "replace").split())
    raise ProtocolError(
        f"{adapter.id} answered {response.status} with a page ({media_type}) instead of what was asked for: {masked(said)[:200]!r}",
        status=response.status,
        body=masked(said),
    )


def _media_type(response: Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _send(
    sender: Sender, call: HttpCall, clocks: Clocks, accept_encoding: str = "identity"
) -> Awaitable[Response]:
    timeout = math.inf if clocks.connect is None else clocks.connect
    return sender.send(call, connect_timeout=timeout, accept_encoding=accept_encoding)
