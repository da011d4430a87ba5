"""Rows B: AWS's binary event stream, as Bedrock's ConverseStream speaks it."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import tercet
from tercet.testing import End

from .cases import Case, Entry, Expect, fault, fine
from .stage import AFTER_THE_FIRST_TOKEN
from .wires import END, WHOLE_TEXT, chunk, converse, pieces, stream_head

__all__ = ["ROWS"]

Nonsense = tercet.ProtocolError
Interrupted = tercet.StreamInterruptedError
_WIRE = "bedrock_converse"
_HEAD = stream_head(_WIRE)
_FIRST, _REST, _LAST = pieces(_WIRE)
_OPENING = converse.frame("messageStart", {"role": "assistant"})


def both(name: str, bad: bytes, *then: Any, expect: Expect, said: Expect | None = None) -> tuple[Case, Case]:
    """``bad`` in front of any content, and behind the first token; then the body ends properly, unless ``then`` says otherwise."""
    ending = then or (END,)
    return (
        Case(
            name=name, when="before", wire=_WIRE, play=(_HEAD + chunk(_OPENING + bad), *ending), expect=expect
        ),
        Case(
            name=name,
            when="after",
            wire=_WIRE,
            play=(_HEAD + chunk(_FIRST), AFTER_THE_FIRST_TOKEN, chunk(bad), *ending),
            expect=said or expect,
        ),
    )


def _nonsense(message: str) -> Expect:
    return fault(Nonsense, again=1, kept=None, message=message)


def _failing(name: str, error: type[tercet.TercetError], signal: str, **more: Any) -> tuple[Case, ...]:
    frame = converse.frame(name, {"message": "It is so."}, "exception")
    return both(
        name, frame, expect=fault(error, signal=signal, kept=None, **{"facts": {"code": name}, **more})
    )


# Frames that are none ---------------------------------------------------------------------------------------------------


def _frame(
    headers: bytes, payload: bytes = b"{}", *, total: int | None = None, headers_size: int | None = None
) -> bytes:
    """A frame whose checksums are right, whatever its lengths and headers say."""
    prelude = struct.pack(
        ">II",
        16 + len(headers) + len(payload) if total is None else total,
        len(headers) if headers_size is None else headers_size,
    )
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


def _flipped(frame: bytes, at: int) -> bytes:
    return frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]


_DELTA = converse.delta("lost")
_BAD_FRAMES = (
    ("2 GiB", _frame(b"", total=1 << 31), "larger than"),
    ("shorter than a frame", _frame(b"", total=15), "cannot hold"),
    ("headers longer than the frame", _frame(b"", total=20, headers_size=100), "cannot hold"),
    ("headers of 200 KiB", _frame(b"", total=300 << 10, headers_size=200 << 10), "larger than"),
)
_BAD_HEADERS = (
    ("an unknown type", b"\x01a\x0f", "unknown type"),
    ("a name without length", b"\x00\x07\x00\x01x", "no name"),
    ("a string cut off", b"\x01a\x07\x00\xff", "cut off"),
    ("a name twice", b"\x01a\x07\x00\x01x" * 2, "twice"),
    ("a name that is not UTF-8", b"\x01\xff\x07\x00\x01x", "not UTF-8"),
)

ROWS: dict[str, Entry] = {
    "B01": Entry(
        cases=(
            Case(
                name="a byte at a time",
                when="after",
                wire=_WIRE,
                play=(
                    _HEAD + chunk(_FIRST),
                    AFTER_THE_FIRST_TOKEN,
                    *(chunk(bytes([byte])) for byte in _REST + _LAST),
                    END,
                ),
                expect=fine(),
            ),
            Case(
                name="all in one read",
                when="before",
                wire=_WIRE,
                play=(_HEAD + chunk(_FIRST + _REST + _LAST) + END,),
                expect=fine(),
            ),
        ),
        tested_by=("test_fault_vectors::test_an_answer_cut_in_two_anywhere_is_the_same_answer",),
    ),
    "B02": Entry(
        cases=(
            *both("the prelude's", _flipped(_DELTA, 3), expect=_nonsense("prelude")),
            *both("the message's", _flipped(_DELTA, -1 + len(_DELTA)), expect=_nonsense("checksum")),
            *both(
                "a flipped bit in the payload, more frames behind it",
                _flipped(_DELTA, len(_DELTA) - 8) + _REST + _LAST,
                expect=_nonsense("checksum"),
            ),
        ),
    ),
    "B03": Entry(
        cases=tuple(
            case for name, bad, said in _BAD_FRAMES for case in both(name, bad, expect=_nonsense(said))
        )
    ),
    "B04": Entry(
        cases=tuple(
            case
            for name, headers, said in _BAD_HEADERS
            for case in both(name, _frame(headers), expect=_nonsense(said))
        ),
        tested_by=("test_fault_vectors::test_every_frame_of_the_corpora_is_an_event_or_a_typed_error",),
    ),
    "B05": Entry(
        cases=(
            *_failing("throttlingException", tercet.RateLimitError, "throttled"),
            *_failing("modelStreamErrorException", tercet.ServerError, "failed"),
            *_failing("serviceUnavailableException", tercet.OverloadedError, "failed"),
            *_failing("internalServerException", tercet.ServerError, "failed"),
            *_failing("modelTimeoutException", tercet.ServerError, "failed"),
        ),
    ),
    "B06": Entry(
        cases=both(
            "InternalFailure",
            converse.error("InternalFailure", "It broke."),
            expect=fault(
                tercet.ServerError, kept=None, facts={"code": "InternalFailure"}, message="It broke"
            ),
        ),
    ),
    "B07": Entry(
        cases=_failing("validationException", tercet.BadRequestError, "rejected", again=0, elsewhere=False),
    ),
    "B08": Entry(
        cases=(
            *both("half a frame, and the body ends", _DELTA[:30], expect=fault(Interrupted, kept=True)),
            *both("half a frame, and FIN", _DELTA[:30], End("fin"), expect=fault(Interrupted)),
        ),
        tested_by=("test_fault_vectors::test_frames_ended_at_any_byte",),
    ),
    "B09": Entry(
        cases=(
            Case(
                name="behind messageStart",
                when="before",
                wire=_WIRE,
                play=(_HEAD + chunk(_OPENING) + END,),
                expect=fault(Interrupted, kept=True),
            ),
            Case(
                name="behind the last content",
                when="after",
                wire=_WIRE,
                play=(_HEAD + chunk(_FIRST), AFTER_THE_FIRST_TOKEN, chunk(_REST) + END),
                expect=fault(Interrupted, said=WHOLE_TEXT, kept=True),
            ),
            Case(
                name="behind messageStop, without metadata: whole",
                when="after",
                wire=_WIRE,
                play=(
                    _HEAD + chunk(_FIRST),
                    AFTER_THE_FIRST_TOKEN,
                    chunk(_REST + converse.frame("messageStop", {"stopReason": "end_turn"})) + END,
                ),
                expect=fine(),
            ),
        ),
    ),
}
