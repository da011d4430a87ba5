"""What a wire asks of whoever runs programs: :class:`ProgramRun`, as the body of a request; and how it is told of the end.

A wire whose provider is a program writes a ``ProgramRun`` where others write an HTTP body, with the method ``EXEC``. What comes back as the
answer's body is the program's stdout, byte for byte, and behind it one more line: a :class:`ProgramExit`. So the interpreter, which is pure,
sees everything that there is to see: what was said, how it ended, and the last words on stderr.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

__all__ = ["EXEC", "PROGRAM_RUN", "FileArgument", "ProgramExit", "ProgramRun"]

EXEC = "EXEC"
"""The method of a request that runs a program."""


class FileArgument(msgspec.Struct, frozen=True):
    """An argument that is the path of a file with this text in it: for what is too long, or too private, for a command line."""

    text: str

    def __repr__(self) -> str:
        return f"<FileArgument {len(self.text)} characters>"


class ProgramRun(msgspec.Struct, frozen=True):
    """One run of a program; which program it is, the address says.

    ``arguments`` go to it as they are, never through a shell. ``stdin`` is all it can read. Its environment is that of the engine, without
    the variables in ``unset``, with those in ``env``, and with ``secrets``: name of the request's header -> variable that gets its value,
    where there is such a header. ``hint`` says what to do when there is no such program. The repr shows none of it.
    """

    arguments: tuple[str | FileArgument, ...]
    stdin: str = ""
    env: Mapping[str, str] = {}
    unset: tuple[str, ...] = ()
    secrets: Mapping[str, str] = {}
    hint: str = ""

    def __repr__(self) -> str:
        return f"<ProgramRun {len(self.arguments)} arguments, {len(self.stdin)} characters>"


class ProgramExit(msgspec.Struct, frozen=True, tag_field="type", tag="program_exit"):
    """How a program ended: its exit code (less than zero: the signal that ended it) and the end of what it wrote to stderr."""

    code: int
    stderr: str = ""


PROGRAM_RUN = msgspec.json.Decoder(ProgramRun)
