"""How a document may be cut into chunks."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

Cuts = Callable[[bytes], Iterator[list[bytes]]]


def _cuts(document: bytes) -> Iterator[list[bytes]]:
    """Whole; byte by byte (large documents by 997 bytes); six times at random places, always the same for one document."""
    yield [document]
    step = 1 if len(document) < 50_000 else 997
    yield [document[pos : pos + step] for pos in range(0, len(document), step)]
    chance = random.Random(len(document))
    for longest in (2, 5, 20, 100, 1000, 5000):
        chunks: list[bytes] = []
        pos = 0
        while pos < len(document):
            size = chance.randint(1, max(longest, len(document) // 5000))
            chunks.append(document[pos : pos + size])
            pos += size
        yield chunks


@pytest.fixture(scope="session")
def cuts() -> Cuts:
    """A function from a document to the ways it is fed: each way a list of chunks that join to the document."""
    return _cuts
