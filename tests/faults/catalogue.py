"""All the entries, by row."""

from __future__ import annotations

from . import (
    rows_answers,
    rows_elsewhere,
    rows_frames,
    rows_framing,
    rows_http,
    rows_limits,
    rows_network,
    rows_payloads,
)
from .cases import Entry

__all__ = ["ENTRIES"]

ENTRIES: dict[str, Entry] = {
    **rows_network.ROWS,
    **rows_http.ROWS,
    **rows_framing.ROWS,
    **rows_payloads.ROWS,
    **rows_frames.ROWS,
    **rows_limits.ROWS,
    **rows_answers.ROWS,
    **rows_elsewhere.ROWS,
}
