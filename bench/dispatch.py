"""Dispatch: CPU per JSON request over loopback, 100 tasks in a closed loop."""

from __future__ import annotations

from .clients import with_httpx, with_tercet, with_transport
from .measure import Figure, compare, cpu
from .upstream import running

COUNT, PARALLEL = 1000, 100


def run(rounds: int) -> list[Figure]:
    with running() as port:
        cases = {
            "tercet, all of it": lambda: cpu(lambda: with_tercet(port, COUNT, PARALLEL, stream=False), COUNT),
            "tercet's bare transport": lambda: cpu(lambda: with_transport(port, COUNT, PARALLEL), COUNT),
            "httpx": lambda: cpu(lambda: with_httpx(port, COUNT, PARALLEL, stream=False), COUNT),
        }
        return compare(
            "dispatch", cases, rounds=min(rounds, 5), unit="us/request", convert=lambda seconds: seconds * 1e6
        )
