"""All the entries, by row."""

from __future__ import annotations

from . import rows_frames, rows_http, rows_network, rows_provider, rows_streams
from .cases import Entry

__all__ = ["ENTRIES"]

ENTRIES: dict[str, Entry] = {
    **rows_network.ROWS,
    **rows_http.ROWS,
    **rows_streams.ROWS,
    **rows_frames.ROWS,
    **rows_provider.ROWS,
}
