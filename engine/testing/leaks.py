"""What is left when a test is done: tasks, sockets, resources that only the garbage collector closed."""

from __future__ import annotations

import gc
import os
import socket
import warnings
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
import trio.testing

__all__ = ["assert_nothing_left", "count_open_sockets", "running_tasks"]

_FDS = Path("/proc/self/fd")


def count_open_sockets() -> int:
    """The sockets of this process. Where there is no ``/proc``, those that Python objects hold open."""
    if not _FDS.is_dir():
        return sum(
            1 for thing in gc.get_objects() if isinstance(thing, socket.socket) and thing.fileno() != -1
        )
    return sum(1 for entry in os.listdir(_FDS) if _target(entry).startswith("socket:"))


def running_tasks() -> frozenset[trio.lowlevel.Task]:
    """Every task of this run that has not ended, trio's own among them."""
    root = trio.lowlevel.current_root_task()
    return frozenset(_below(root)) if root is not None else frozenset()


@asynccontextmanager
async def assert_nothing_left() -> AsyncGenerator[None, None]:
    """Raise AssertionError if, after the block, there are tasks or sockets that were not there before it, or if the garbage collector
    had to close something (a ResourceWarning). Says nothing where the block itself raises.

    Waits until all tasks have nothing to do before it looks, so that what is just ending can end; costs a run of the garbage collector.
    """
    tasks = running_tasks()
    gc.collect()
    sockets = count_open_sockets()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        yield
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
    for other in caught:
        if not issubclass(other.category, ResourceWarning):  # recorded too, but none of our business
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    left = [f"the task {task.name}" for task in running_tasks() - tasks]
    if (more := count_open_sockets() - sockets) > 0:
        left.append(f"{more} open sockets")
    left += [str(warning.message) for warning in caught if issubclass(warning.category, ResourceWarning)]
    if left:
        raise AssertionError("left behind: " + "; ".join(sorted(left)))


def _below(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    waiting = [task]
    while waiting:
        task = waiting.pop()
        yield task
        waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]


def _target(entry: str) -> str:
    try:
        return os.readlink(_FDS / entry)
    except FileNotFoundError:  # the descriptor of the listing itself
        return ""
