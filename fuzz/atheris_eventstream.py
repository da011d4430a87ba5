"""Coverage-guided bytes for the AWS event stream: ``python fuzz/atheris_eventstream.py [libFuzzer options] [corpus]`` (extra ``fuzz``).

The first byte chooses the cut, the second the length of the headers; the rest is headers and payload behind good checksums (a fuzzer
does not guess a CRC), and then once more as it is. Nothing but :class:`ProtocolError` may be raised.
"""

from __future__ import annotations

import sys
import zlib

from tercet.codecs.framing import EventStreamDecoder, encode_message
from tercet.codecs.vocabulary import ProtocolError


def read(chunks: list[bytes]) -> tuple[list[bytes], bool]:
    """The messages, encoded again, and whether there was a fault."""
    decoder = EventStreamDecoder(max_message_size=4096, max_headers_size=1024)
    messages: list[bytes] = []
    try:
        for chunk in chunks:
            for message in decoder.feed(chunk):
                messages.append(encode_message(message.headers, message.payload))  # noqa: PERF401 - keeps what came before a fault
        decoder.finish()
    except ProtocolError:
        return messages, True
    return messages, False


def checksummed(data: bytes) -> bytes:
    return data + zlib.crc32(data).to_bytes(4, "big")


def one_input(data: bytes) -> None:
    """What the fuzzer calls."""
    if len(data) < 2:
        return
    size, headers_size, body = data[0] + 1, data[1], data[2:]
    lengths = (16 + len(body)).to_bytes(4, "big") + headers_size.to_bytes(4, "big")
    for document in (checksummed(checksummed(lengths) + body), body):
        messages, failed = read([document])
        assert read([document[pos : pos + size] for pos in range(0, len(document), size)]) == (
            messages,
            failed,
        )
        assert failed or b"".join(messages) == document


def main() -> None:
    """Run until something is found or libFuzzer's options end it."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
