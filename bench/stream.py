"""Tokens end to end over loopback: unpaced streams, 20 at a time. Not a production figure: real providers pace their tokens."""

from __future__ import annotations

from .clients import with_httpx, with_tercet
from .measure import Figure, compare, cpu
from .upstream import TOKENS, running

COUNT, PARALLEL = 100, 20


def run(rounds: int) -> list[Figure]:
    with running() as port:
        units = COUNT * TOKENS
        cases = {
            "tercet": lambda: cpu(lambda: with_tercet(port, COUNT, PARALLEL, stream=True), units),
        }
        try:
            import httpx_sse  # noqa: F401  # only whether it is there
        except ImportError:
            print("httpx-sse is not installed: pip install '.[bench]'")
        else:
            cases["httpx + httpx-sse + json"] = lambda: cpu(
                lambda: with_httpx(port, COUNT, PARALLEL, stream=True), units
            )
        return compare(
            "stream",
            cases,
            rounds=min(rounds, 5),
            unit="tokens/s per core",
            convert=lambda seconds: 1 / seconds,
        )
