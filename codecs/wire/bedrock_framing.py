"""How Bedrock streams its answers: the AWS event stream, with three kinds of messages in it (``:message-type``).

``event`` is an event. ``exception`` is an error that the service models, ``error`` one that it does not: both end the answer. A framing
tells interpreters a name and data only, so here the kind of a failure goes in front of its name: ``exception:throttlingException``.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..framing.events import Buffer
from ..framing.eventstream import EventStreamDecoder, EventStreamMessage

__all__ = ["BedrockDecoder", "failure_name"]

_FAILURES = ("exception", "error")


class BedrockDecoder(EventStreamDecoder):
    """An :class:`EventStreamDecoder` that marks failures, and leaves it to the interpreter to say what a broken-off message means.

    A message that breaks off is no fault of the framing: whether the answer was whole without it only its events can tell.
    """

    __slots__ = ()

    def split(self, chunk: Buffer, /) -> Iterable[tuple[str, bytes | memoryview]]:
        """The messages that ``chunk`` completes, as name and data. Raises like ``feed``."""
        return map(_named, self.feed(chunk))

    def finish(self) -> Iterable[EventStreamMessage]:
        """The bytes have ended: nothing more can come. Raises only if the decoder had failed before."""
        self._check_open()
        return ()


def _named(message: EventStreamMessage) -> tuple[str, bytes | memoryview]:
    kind = message.message_type
    if kind not in _FAILURES:
        return message.name, message.payload
    data = message.payload
    if kind == "error":  # it says what it has to say in its headers
        data = msgspec.json.encode({"message": message.headers.get(":error-message")}, enc_hook=str)
    return f"{kind}:{message.name}", data


def failure_name(name: str) -> str | None:
    """The name of the failure that an event stands for, None if it is none."""
    kind, colon, failure = name.partition(":")
    if colon and kind in _FAILURES:
        return failure
    return name if name.endswith("Exception") else None
