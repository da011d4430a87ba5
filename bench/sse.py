"""P6: the SSE codec over 244-byte events, read in pieces of several sizes; beside the decoders of others."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from tercet.cli.bench_server import EVENT
from tercet.codecs.framing import SseDecoder

from .measure import Case, Figure, compare, cpu
from .peers import Client, ClientError, Clients, command

SIZES = (64, 1024, 16 * 1024, 64 * 1024)
VOLUME = 2_000_000
SHAPES = {
    "data": EVENT,
    "CRLF": EVENT.replace(b"\n", b"\r\n"),
    "event-prefixed": b"event: content_block_delta\n" + EVENT,
    "multi-line": EVENT.replace(b',"choices"', b'\ndata: ,"choices"').replace(
        b',"usage"', b'\ndata: ,"usage"'
    ),
}


def pieces(document: bytes, size: int) -> list[bytes]:
    """The document in reads of ``size`` bytes."""
    return [document[start : start + size] for start in range(0, len(document), size)]


def run(clients: Clients, rounds: int) -> list[Figure]:
    """MB/s of CPU time, every event looked at once."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as directory:
        node = _node()
        try:
            for shape, event in SHAPES.items():
                document = event * (VOLUME // len(event))
                file = Path(directory, "stream")
                file.write_bytes(document)
                for size in SIZES if shape == "data" else (1024, 16 * 1024):
                    figures += _size(clients, node, rounds, shape, document, str(file), size)
        finally:
            if node is not None:
                node.close()
    return figures


def _size(
    clients: Clients, node: Client | None, rounds: int, shape: str, document: bytes, file: str, size: int
) -> list[Figure]:
    chunks = pieces(document, size)
    wanted = document.count(b"\n\n") + document.count(b"\r\n\r\n")
    cases: dict[str, Case] = {
        "tercet, as the engine reads": _case(_split, chunks, len(document), wanted),
        "tercet SseDecoder.feed": _case(_feed, chunks, len(document), wanted),
    }
    openai = clients.get("openai_sdk")
    if openai is not None:
        cases["openai SDK's decoder"] = _peer(openai, file, size, wanted)
    if node is not None:
        cases["Node eventsource-parser"] = _peer(node, file, size, wanted)
    return compare(
        f"sse, {shape}, reads of {size} B",
        cases,
        rounds=rounds,
        unit="MB/s",
        convert=lambda seconds: 1e-6 / seconds,
    )


def _node() -> Client | None:
    try:
        return Client("eventsource_parser", command("eventsource_parser"))
    except (FileNotFoundError, ClientError) as error:
        print(f"eventsource-parser is left out: {error}")
        return None


def _peer(client: Client, file: str, size: int, wanted: int) -> Case:
    def case() -> float:
        told = client.ask("sse", file=file, size=size)
        if told["events"] != wanted:
            raise ClientError(f"found {told['events']} events, not {wanted}")
        return float(told["cpu"]) / float(told["units"])

    return case


def _case(read: Callable[[list[bytes]], int], chunks: list[bytes], size: int, wanted: int) -> Case:
    def work() -> None:
        found = read(chunks)
        assert found == wanted, found

    return lambda: cpu(work, size)


def _split(chunks: list[bytes]) -> int:
    decoder = SseDecoder()
    return sum(1 for chunk in chunks for _ in decoder.split(chunk))


def _feed(chunks: list[bytes]) -> int:
    decoder = SseDecoder()
    return sum(1 for chunk in chunks for _ in decoder.feed(chunk))
