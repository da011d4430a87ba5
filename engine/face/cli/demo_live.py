"""The demo on a terminal, drawn by rich (extra ``rich``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from .demo import Row

__all__ = ["LiveView"]

_COLOURS = {"complete": "green", "streaming": "cyan", "asked": "yellow", "waiting": "dim"}


class LiveView:
    """A table that grows while the streams run, and below it what happened to them."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows
        self._log: list[str] = []
        self._console = Console()
        self.live: Live = Live(
            console=self._console, get_renderable=self._draw, refresh_per_second=20, transient=False
        )

    def happened(self, row: Row, what: str) -> None:
        """Add a line to the log."""
        row.events.append(what)
        self._log.append(f"{row.name}: {what}")

    def changed(self) -> None:
        """Nothing to do: the picture is drawn from the rows twenty times a second."""

    def _draw(self) -> Group:
        room = max(20, self._console.width - 30)
        table = Table(box=None, pad_edge=False, expand=True)
        for name, width in (("request", 8), ("state", 10), ("tokens", 7)):
            table.add_column(name, width=width, no_wrap=True)
        table.add_column("answer", no_wrap=True, overflow="crop", ratio=1)
        for row in self._rows:
            state = row.state.partition(":")[0]
            table.add_row(
                row.name,
                Text(state, style=_COLOURS.get(state, "red")),
                str(row.tokens),
                Text(row.text[-room:]),
            )
        return Group(
            table, Text(), Text("\n".join(self._log[-12:]), style="dim", overflow="ellipsis", no_wrap=True)
        )
