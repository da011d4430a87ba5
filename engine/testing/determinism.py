"""The same seed, the same run: trio's choices of order, made by a seeded generator.

trio shuffles the tasks that are ready, on purpose, with a generator of its own. Its switch for repeatable runs is private (it exists for
Hypothesis): this is the one place that touches it. Together with ``MockClock`` and an in-memory network a whole
simulation then repeats itself, across processes and hash seeds.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import trio

__all__ = ["deterministic_scheduling"]


@contextmanager
def deterministic_scheduling(seed: int) -> Generator[None, None, None]:
    """Inside the block the order in which trio runs tasks depends on ``seed`` and on nothing else. Put it around ``trio.run``,
    or around a part of a run; what was before is restored.

    Raises RuntimeError where this version of trio has no such switch (looked at: trio 0.27 to 0.35).
    """
    run: Any = getattr(getattr(trio, "_core", None), "_run", None)
    if not hasattr(run, "_ALLOW_DETERMINISTIC_SCHEDULING") or not hasattr(run, "_r"):
        raise RuntimeError(
            f"trio {trio.__version__} has no switch for deterministic scheduling where it is looked for"
        )
    was_on, state = run._ALLOW_DETERMINISTIC_SCHEDULING, run._r.getstate()
    run._ALLOW_DETERMINISTIC_SCHEDULING = True
    run._r.seed(seed)
    try:
        yield
    finally:
        run._ALLOW_DETERMINISTIC_SCHEDULING = was_on
        run._r.setstate(state)
