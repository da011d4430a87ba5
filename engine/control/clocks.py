"""The limits of patience of one attempt, as values; the runtime keeps the time.

Rules:

1. ``connect``: from the start of an attempt until there is a connection (name, TCP, TLS, proxy).
2. ``first_content``: from the request being sent until the first token with content. Comments and pings do not count.
3. ``idle``: between two events with content. It stands still while our own consumer is the slow one.
4. ``whole``: from the start of an attempt to a whole answer, where nothing is streamed and so nothing shows before the end.
5. The last clock, the total, is the caller's own cancel scope and not here.
"""

from __future__ import annotations

import msgspec

__all__ = ["Clocks"]


class Clocks(msgspec.Struct, frozen=True):
    """Seconds for each clock; None switches one off. Zero, negative and not-a-number values are refused with ValueError."""

    connect: float | None = 10.0
    first_content: float | None = 120.0
    idle: float | None = 60.0
    whole: float | None = 600.0

    def __post_init__(self) -> None:
        for name in ("connect", "first_content", "idle", "whole"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(
                    f"Clocks.{name} is a number of seconds above 0, or None to switch it off; got {value!r}"
                )
