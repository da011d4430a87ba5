"""What getting a credential asks of the world, one step at a time.

Whoever looks for a credential (:mod:`.aws_chain`, :mod:`.google`, :mod:`.oauth_files`) is a plain generator, a *search*: it yields steps and is
sent what became of them. It opens no file and no socket and reads no clock; a driver does that (:mod:`tercet.engine.runtime.searching`
over the machine, a test over a dictionary). What the generator returns is the credential.

======================  ==========================================================================
yielded                 sent back
======================  ==========================================================================
``ReadFile(path)``      the file's text; an ``OSError`` is thrown in where there is none
``WriteFile(path, t)``  None: the file has that text, whole, and its owner alone can read it; or an ``OSError``
``RunProcess(command)`` an :class:`Exited`; a ``TransportError`` where it did not end in time
``Ask(call)``           an :class:`Answer`, whatever its status; a ``TransportError`` where none came
``Pause(seconds)``      None, so many seconds later
======================  ==========================================================================

No repr of these shows what a file, an answer or a command line holds.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

import msgspec

from tercet.codecs.vocabulary import (
    AuthenticationError,
    ConfigurationError,
    ProtocolError,
    ServerError,
    TercetError,
    TransportError,
)

from ..call import HttpCall
from ..url import parse_base_url

__all__ = [
    "Answer",
    "Ask",
    "Exited",
    "Pause",
    "ReadFile",
    "RunProcess",
    "Search",
    "Step",
    "WriteFile",
    "ask",
    "ask_nearby",
    "call_to",
    "json_object",
    "number_in",
    "read_file",
    "refusal",
]

T = TypeVar("T")


class ReadFile(msgspec.Struct, frozen=True, gc=False):
    """Read a small file's text."""

    path: str


class WriteFile(msgspec.Struct, frozen=True, gc=False):
    """Put this text in the file's place, all of it or nothing, readable by its owner alone."""

    path: str
    text: str

    def __repr__(self) -> str:
        return f"<WriteFile {self.path}>"


class RunProcess(msgspec.Struct, frozen=True, gc=False):
    """Run a command line in the shell, without input, for at most so many seconds, and keep what it writes to stdout."""

    command: str
    seconds: float

    def __repr__(self) -> str:
        return "<RunProcess>"


class Ask(msgspec.Struct, frozen=True, gc=False):
    """Send the call and read the whole answer, within so many seconds.

    ``is_direct``: through no proxy. The metadata services answer the machine they belong to, and give keys: a proxy must not see them.
    """

    call: HttpCall
    seconds: float
    is_direct: bool = False


class Pause(msgspec.Struct, frozen=True, gc=False):
    """Wait for so many seconds."""

    seconds: float


class Exited(msgspec.Struct, frozen=True, gc=False):
    """How a command ended: its exit code, and what it wrote to stdout."""

    code: int
    stdout: bytes

    def __repr__(self) -> str:
        return f"<Exited {self.code}>"


class Answer(msgspec.Struct, frozen=True):
    """An answer, read whole. Names of headers are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"<Answer {self.status}>"


Step: TypeAlias = ReadFile | WriteFile | RunProcess | Ask | Pause
Search: TypeAlias = Generator[Step, Any, T]

_TRIES = 3
_FIRST_PAUSE = 0.1
_TRY_AGAIN = frozenset({429, 500, 502, 503, 504})
_SAID = 300
"""Characters of what a service said of its refusal that go into an error."""


def call_to(method: str, url: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b"") -> HttpCall:
    """A call to a whole URL, its path and query as they stand. Raises :class:`ConfigurationError` for what is no URL."""
    address, mark, query = url.partition("?")
    origin, _ = parse_base_url(address)
    target = f"{urlsplit(address).path or '/'}{mark}{query}"
    if not target.isascii() or not target.isprintable() or " " in target:
        raise ConfigurationError(f"the path of the address {origin} has characters that no address has")
    return HttpCall(method, origin, target, tuple(headers), body)


def ask(call: HttpCall, *, seconds: float = 10.0) -> Search[Answer]:
    """Ask up to three times, while the network or the service fails; give the last answer. Raises the last :class:`TransportError`."""
    pause = _FIRST_PAUSE
    for left in reversed(range(_TRIES)):
        try:
            answer: Answer = yield Ask(call, seconds)
        except TransportError as error:
            if not left or not error.retryable:
                raise
        else:
            if not left or answer.status not in _TRY_AGAIN:
                return answer
        yield Pause(pause)
        pause *= 2
    raise AssertionError("the last try returns or raises")


def ask_nearby(call: HttpCall, *, seconds: float = 1.0) -> Search[Answer]:
    """Ask a service of this machine: through no proxy, up to three times while it fails, once where it is not there.

    It answers at once, or there is none: a second's patience. Raises :class:`TransportError`.
    """
    pause = _FIRST_PAUSE
    for _ in range(_TRIES - 1):
        answer: Answer = yield Ask(call, seconds, is_direct=True)
        if answer.status < 500:
            return answer
        yield Pause(pause)
        pause *= 2
    answer = yield Ask(call, seconds, is_direct=True)
    return answer


def read_file(path: str, what: str) -> Search[str | None]:
    """A file's text, None where there is no such file. Raises :class:`ConfigurationError` that says why it cannot be read."""
    try:
        text: str = yield ReadFile(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigurationError(f"{what} {path} cannot be read: {error.strerror or 'it failed'}") from None
    return text


def json_object(data: bytes | str, what: str) -> dict[str, Any]:
    """JSON that is an object. Raises :class:`ProtocolError` that says ``what`` it should have been, and shows nothing of it."""
    try:
        value: Any = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError):
        raise ProtocolError(f"{what} is not JSON", retryable=False) from None
    if not isinstance(value, dict):
        raise ProtocolError(f"{what} is not a JSON object", retryable=False)
    return cast("dict[str, Any]", value)


def number_in(said: Mapping[str, Any], name: str) -> float | None:
    """A time or a duration as a float; None where there is none, or one that no clock shows (beyond the year 5000, in milliseconds)."""
    value = said.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e14:
        return None
    return float(value)


def refusal(
    what: str, status: int, code: str | None, said: str, *, secrets: Sequence[str] = (), way_out: str = ""
) -> TercetError:
    """The error for a service that gave no credential: :class:`ServerError` where it failed, else :class:`AuthenticationError`.

    ``said`` is its own message; what it may have echoed of ``secrets`` is taken out.
    """
    for secret in secrets:
        if secret:
            said = said.replace(secret, "***")
            code = code and code.replace(secret, "***")
    told = " ".join(said[:_SAID].split())
    reason = ": ".join(part for part in (code, told) if part)
    message = f"{what} was refused with {status}" + (f": {reason}" if reason else "")
    if way_out:
        message = f"{message}. {way_out}"
    if status >= 500 or status == 429:
        return ServerError(message, status=status, code=code)
    return AuthenticationError(message, status=status, code=code)
