"""Shared by all tests: where the public test vectors are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def shared_dir() -> Path | None:
    """The folder of test vectors: ``TERCET_SHARED``, or ``../shared`` beside the project; None when there is none."""
    named = os.environ.get("TERCET_SHARED")
    path = Path(named) if named else Path(__file__).resolve().parent.parent.parent / "shared"
    return path if (path / "vectors").is_dir() else None


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of test vectors; skips the test where it is absent."""
    path = shared_dir()
    if path is None:
        pytest.skip("no test vectors: set TERCET_SHARED or put them at ../shared")
    return path
