"""Coverage-guided bytes for the SSE decoder: ``python fuzz/atheris_sse.py [libFuzzer options] [corpus]`` (extra ``fuzz``).

The first byte chooses the limit, the second the cut. Whole, cut and as pairs, the events must be the same; nothing but
:class:`ProtocolError` may be raised.
"""

from __future__ import annotations

import sys

from tercet.codecs.framing import SseDecoder
from tercet.codecs.vocabulary import ProtocolError

Seen = tuple[list[tuple[str, bytes]], bool]


def read(chunks: list[bytes], limit: int, *, pairs: bool) -> Seen:
    """Names and data, and whether the limit was passed."""
    decoder = SseDecoder(max_event_size=limit)
    events: list[tuple[str, bytes]] = []
    try:
        for chunk in chunks:
            if pairs:
                for name, data in decoder.split(chunk):
                    events.append((name, bytes(data)))
            else:
                for event in decoder.feed(chunk):
                    events.append((event.name, bytes(event.data)))  # noqa: PERF401 - keeps what came before a fault
    except ProtocolError:
        return events, True
    return events, False


def one_input(data: bytes) -> None:
    """What the fuzzer calls."""
    if len(data) < 2:
        return
    limit, size, document = data[0] + 1, data[1] % 32 + 1, data[2:]
    chunks = [document[pos : pos + size] for pos in range(0, len(document), size)]
    seen = [read(way, limit, pairs=pairs) for way in ([document], chunks) for pairs in (False, True)]
    assert seen.count(seen[0]) == len(seen), seen


def main() -> None:
    """Run until something is found or libFuzzer's options end it."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
