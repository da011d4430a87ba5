"""The SSE codec: MB/s over a stream of 244-byte events, read in pieces of several sizes."""

from __future__ import annotations

from collections.abc import Callable

from tercet.codecs.framing import SseDecoder

from .measure import Case, Figure, compare, cpu

EVENT = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1759300000,"model":"gpt-4o","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}],"usage":null,"pad":"xxxxxxx"}\n\n'
SIZES = (64, 1024, 16 * 1024, 64 * 1024)
VOLUME = 2_000_000


def pieces(document: bytes, size: int) -> list[bytes]:
    return [document[start : start + size] for start in range(0, len(document), size)]


def run(rounds: int) -> list[Figure]:
    document = EVENT * (VOLUME // len(EVENT))
    figures: list[Figure] = []
    for size in SIZES:
        chunks = pieces(document, size)
        cases: dict[str, Case] = {
            "tercet split": _case(_split, chunks, len(document)),
            "tercet feed (views)": _case(_feed, chunks, len(document)),
        }
        peer = _httpx_sse()
        if peer is not None:
            cases["httpx-sse"] = _case(peer, chunks, len(document))
        figures += compare(
            f"sse {size} B", cases, rounds=rounds, unit="MB/s", convert=lambda seconds: 1e-6 / seconds
        )
    return figures


def _case(read: Callable[[list[bytes]], int], chunks: list[bytes], size: int) -> Case:
    def work() -> None:
        found = read(chunks)
        assert found == size // len(EVENT), found

    return lambda: cpu(work, size)


def _split(chunks: list[bytes]) -> int:
    decoder = SseDecoder()
    return sum(len(list(decoder.split(chunk))) for chunk in chunks)


def _feed(chunks: list[bytes]) -> int:
    decoder = SseDecoder()
    return sum(len(list(decoder.feed(chunk))) for chunk in chunks)


def _httpx_sse() -> Callable[[list[bytes]], int] | None:
    try:
        import httpx
        from httpx_sse import EventSource
    except ImportError:
        print("httpx-sse is not installed: pip install '.[bench]'")
        return None

    def read(chunks: list[bytes]) -> int:
        headers = {"content-type": "text/event-stream"}
        response = httpx.Response(200, headers=headers, stream=_Chunks(chunks))
        return sum(1 for _ in EventSource(response).iter_sse())

    class _Chunks(httpx.SyncByteStream):
        def __init__(self, chunks: list[bytes]) -> None:
            self._chunks = chunks

        def __iter__(self):  # type: ignore[no-untyped-def]  # httpx's own annotation is an iterator of bytes
            return iter(self._chunks)

    return read
