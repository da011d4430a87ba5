"""How commands print: tables for people, JSON for programs, errors to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from tercet.codecs.vocabulary import BadRequestError, ConfigurationError, TercetError

__all__ = ["code_of", "print_error", "print_json", "print_table", "style"]

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def style(text: str, name: str, *, stream: Any = None) -> str:
    """``text`` in a style, if the stream (standard output by default) is a terminal that wants it (https://no-color.org)."""
    import os

    target = sys.stdout if stream is None else stream
    if not target.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{_STYLES[name]}m{text}\x1b[0m"


def print_json(value: Any) -> None:
    """One JSON document on one line."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; the last one ragged."""
    table = [list(header), *[list(row) for row in rows]]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for number, row in enumerate(table):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        line = "  ".join(cells).rstrip()
        print(style(line, "bold") if number == 0 else line)


def print_error(error: TercetError, *, as_json: bool) -> None:
    """The error on standard error, and as a JSON document on standard output where that was asked for."""
    if as_json:
        print_json(error.facts())
        return
    who = f"{error.provider}: " if error.provider and error.provider not in error.message else ""
    print(f"{style('error', 'red', stream=sys.stderr)}: {who}{error.message}", file=sys.stderr)
    if error.retry_after:
        print(f"  try again in {error.retry_after:.0f} s", file=sys.stderr)


def code_of(error: TercetError) -> int:
    """2 for what the caller must change, 1 for what went wrong outside."""
    return 2 if isinstance(error, ConfigurationError | BadRequestError) else 1
