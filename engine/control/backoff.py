"""How long to wait before trying again: shared by retries, breakers and the lanes' restarts.

Rules:

1. A wait grows by doubling from ``base`` and never passes ``cap``.
2. Chance is an argument: the same numbers from ``random`` give the same waits.
3. Whoever says "ask me again in x seconds" says at least ``MIN_WAIT``. A shorter sleep may not move a float clock at all
   (``now + 1e-12 == now`` for a clock that stands at an hour), and a loop around such an answer would spin.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["MIN_WAIT", "Random", "full_jitter", "grown", "worth_waiting"]

Random = Callable[[], float]
"""A source of chance: numbers from [0, 1), as ``random.Random.random`` gives them."""

MIN_WAIT = 0.001
"""The shortest wait any machine here asks for, in seconds: a millisecond is what a timer can keep."""

_MAX_DOUBLINGS = 63  # 2**1100 is no float: the exponent is bounded before the cap is


def grown(count: int, base: float, cap: float) -> float:
    """``base`` doubled ``count - 1`` times (``count`` from 1), at most ``cap``: seconds in, seconds out."""
    return float(min(cap, base * 2.0 ** min(max(count - 1, 0), _MAX_DOUBLINGS)))


def full_jitter(count: int, base: float, cap: float, random: Random) -> float:
    """A wait anywhere between 0 and :func:`grown`, in seconds.

    Full jitter, as AWS's "Exponential Backoff and Jitter" measured it: the fewest clashes and the least work for many
    clients that failed at the same moment.
    """
    return random() * grown(count, base, cap)


def worth_waiting(seconds: float) -> float:
    """A positive wait made long enough for a clock to notice; 0 and less stay 0."""
    return max(seconds, MIN_WAIT) if seconds > 0.0 else 0.0
