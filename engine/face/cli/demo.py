"""``tercet demo``: five streams at once over three wire formats, while one provider fails half-way and another is busy.

Everything but the models is real: TCP on 127.0.0.1, HTTP, the three formats, the dispatcher, its retries and its failover.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import msgspec
import trio

import tercet
from tercet.engine.testing import Fleet, SimulatedProvider, cut, fail, lorem, think_then

from .output import print_json, print_table, style

__all__ = ["run"]

_POEM = (
    "Three lines to a verse, the tercet goes its way, "
    "each middle rhyme the next one's outer frame, "
    "so none is lost of what the streams would say."
)

_MODELS = ("lorem", "think")


class Row(msgspec.Struct):
    """One request of the demo, as far as it has come."""

    name: str
    wish: str
    targets: list[str]
    state: str = "waiting"
    provider: str = ""
    model: str = ""
    attempts: int = 0
    first_token: float | None = None
    seconds: float = 0.0
    tokens: int = 0
    usage: tercet.Usage | None = None
    text: str = ""
    events: list[str] = []

    @property
    def rate(self) -> float | None:
        """Tokens a second after the first."""
        if self.first_token is None or self.seconds <= self.first_token:
            return None
        return self.tokens / (self.seconds - self.first_token)


class View(Protocol):
    """Where the demo shows what happens."""

    def happened(self, row: Row, what: str) -> None:
        """Something worth a line has happened to a request."""
        ...

    def changed(self) -> None:
        """A token has come."""
        ...


def _fleet() -> Fleet:
    return Fleet(
        SimulatedProvider("alder", "openai_chat", lorem(60, pace=0.03, first_delay=0.15), models=_MODELS),
        SimulatedProvider(
            "birch",
            "anthropic",
            think_then(_POEM, "A verse of three lines is wanted.", pace=0.05),
            models=_MODELS,
        ),
        SimulatedProvider("cedar", "gemini", lorem(45, pace=0.04, first_delay=0.3), models=_MODELS),
        SimulatedProvider(
            "dogwood", "openai_chat", lorem(40, pace=0.04, fault=cut(after_events=18)), models=_MODELS
        ),
        SimulatedProvider("elder", "anthropic", fail(529, retry_after=30), models=_MODELS),
    )


def _rows() -> list[Row]:
    return [
        Row("one", "OpenAI's format", ["alder:lorem"]),
        Row("two", "Anthropic's format, with reasoning", ["birch:think"]),
        Row("three", "Gemini's format", ["cedar:lorem"]),
        Row("four", "its provider dies in mid-answer", ["dogwood:lorem", "birch:think"]),
        Row("five", "its provider is overloaded", ["elder:lorem", "cedar:lorem"]),
    ]


def run(options: argparse.Namespace) -> int:
    """Show the demo; 0 if every request got its whole answer."""
    rows = _rows()
    started = time.monotonic()
    view, block = _view(options, rows)
    with block:
        trio.run(_stream_all, rows, view, restrict_keyboard_interrupt_to_checkpoints=True)
    if options.json:
        for row in rows:
            print_json(msgspec.to_builtins(row))
    else:
        _print_summary(rows, time.monotonic() - started)
    return 0 if all(row.state == "complete" for row in rows) else 1


async def _stream_all(rows: Sequence[Row], view: View) -> None:
    registry = tercet.ProviderRegistry()
    async with _fleet().on_loopback() as fleet:
        styles = {"openai_chat": "bearer", "anthropic": "x-api-key", "gemini": "x-goog-api-key"}
        for provider in fleet:
            registry.add(
                msgspec.convert(
                    {
                        "id": provider.name,
                        "base_url": fleet.base_url(provider.name),
                        "wire": provider.wire,
                        "auth": styles[provider.wire],
                        "catalog": "simulated",
                    },
                    tercet.Profile,
                )
            )
        keys = {provider.name: "a-key-for-the-demo" for provider in fleet}
        async with (
            tercet.open_manager(registry, keys=keys, environ={}) as manager,
            trio.open_nursery() as nursery,
        ):
            for row in rows:
                nursery.start_soon(_stream_one, manager, row, view)


async def _stream_one(manager: tercet.ProviderManager, row: Row, view: View) -> None:
    request = tercet.ChatRequest(row.targets[0], "A verse, please.")
    started = trio.current_time()
    stream = manager.chat_stream(request, fallbacks=row.targets[1:], on_interruption="restart")
    row.state = "asked"
    view.happened(row, f"asks {row.targets[0]} ({row.wish})")
    try:
        async with stream:
            row.state = "streaming"
            for error in stream.attempts:
                view.happened(row, f"{error.provider} failed before a word came: {error.message}")
            async for token in stream:
                row.seconds = trio.current_time() - started
                if isinstance(token, tercet.Restarted):
                    view.happened(
                        row,
                        f"broken off after {row.tokens} tokens ({token.reason}); {token.provider} takes over",
                    )
                    row.tokens, row.text = 0, ""
                elif isinstance(token, tercet.TextDelta | tercet.ReasoningDelta):
                    if row.first_token is None:
                        row.first_token = row.seconds
                        view.happened(
                            row, f"first words after {row.first_token * 1000:.0f} ms from {stream.provider}"
                        )
                    row.tokens += 1
                    row.text += token.text
                view.changed()
        row.state = "complete" if stream.response.is_complete else "incomplete"
    except tercet.TercetError as error:
        row.state = f"{type(error).__name__}: {error}"
    answer = stream.response
    row.provider, row.model, row.usage = answer.provider or "-", answer.model or "-", answer.usage
    row.attempts = len(stream.attempts) + 1
    view.happened(row, f"{row.state}, {row.tokens} tokens")


# -- showing ------------------------------------------------------------------------------------------------------------


def _view(options: argparse.Namespace, rows: list[Row]) -> tuple[View, AbstractContextManager[Any]]:
    if options.json:
        return _Silent(), nullcontext()
    if sys.stdout.isatty() and not options.plain:
        try:
            from .demo_live import LiveView
        except ImportError:
            return _Lines(), nullcontext()  # rich is an extra: without it the same, line by line
        view = LiveView(rows)
        return view, view.live
    return _Lines(), nullcontext()


class _Silent:
    def happened(self, row: Row, what: str) -> None:
        row.events.append(what)

    def changed(self) -> None:
        pass


class _Lines:
    def __init__(self) -> None:
        self._started = time.monotonic()

    def happened(self, row: Row, what: str) -> None:
        row.events.append(what)
        print(f"{time.monotonic() - self._started:5.2f} s  {row.name:<6} {what}", flush=True)

    def changed(self) -> None:
        pass


def _print_summary(rows: Sequence[Row], seconds: float) -> None:
    print()
    header = ("REQUEST", "PROVIDER", "MODEL", "ATTEMPTS", "FIRST", "TOKENS/S", "IN+OUT", "COST", "ENDED")
    cells: list[Sequence[str]] = []
    for row in rows:
        usage = row.usage or tercet.Usage()
        cells.append(
            (
                row.name,
                row.provider,
                row.model,
                str(row.attempts),
                "-" if row.first_token is None else f"{row.first_token * 1000:.0f} ms",
                "-" if row.rate is None else f"{row.rate:.0f}",
                f"{usage.input_tokens}+{usage.output_tokens}",
                "-" if usage.cost is None else f"${usage.cost:.6f}",
                row.state,
            )
        )
    print_table(header, cells)
    done = sum(row.state == "complete" for row in rows)
    told = f"{done} of {len(rows)} answers complete in {seconds:.1f} s, over three wire formats, two providers failing."
    print(style(told, "green" if done == len(rows) else "red"))
