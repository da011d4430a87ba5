"""``PartialArguments``: the streamed arguments of one Gemini function call, as growing JSON text.

Vertex can stream a call's arguments (``functionCallingConfig.streamFunctionCallArguments``). It does not send pieces of JSON
but values with the place where each belongs, in the order in which the model writes them::

    {"jsonPath": "$.recipe.steps[0]", "stringValue": "Boil the", "willContinue": true}
    {"jsonPath": "$.recipe.steps[0]", "stringValue": " water."}
    {"jsonPath": "$.recipe.minutes", "numberValue": 12}

Because the order is the document's, the text can be written at once, and the consumer sees arguments while they come:
``{"recipe":{"steps":["Boil the``, `` water."``, ``],"minutes":12``, ``}}``. The price is that a value for a place that was
already left cannot be said any more; that is a :class:`ProtocolError`, not a guess. (The other way, holding everything until
the call ends, would take any order, but a long file written by a tool would look like a stalled stream.)

Source: ``PartialArg`` and ``FunctionCall`` of Google's Gen AI SDK reference (2026-11), JSON paths as RFC 9535; recorded streams.
"""

from __future__ import annotations

import re

import msgspec

from ..vocabulary import ProtocolError
from .surrogates import SurrogateJoiner

__all__ = ["PartialArg", "PartialArguments"]

_STEP = re.compile(r"\.([^.\[\]*]+)|\[(\d{1,9})\]|\['((?:[^'\\]|\\.)*)'\]|\[\"((?:[^\"\\]|\\.)*)\"\]")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_NO_NUMBER = msgspec.Raw()
_MAX_DEPTH = (
    100  # nobody's schema is deeper; a path of a megabyte of brackets is an attack on the stack of containers
)


class PartialArg(msgspec.Struct, gc=False, rename="camel"):
    """One value for one place. Proto3 JSON writes ``nullValue`` as null, so null is what has no other value and does not go on."""

    json_path: str = ""
    string_value: str | None = None
    number_value: msgspec.Raw = _NO_NUMBER
    bool_value: bool | None = None
    will_continue: bool | None = None


class _Container:
    """An object or an array that is still open. ``at`` is the place inside it that was written last."""

    __slots__ = ("at", "is_array", "seen")

    def __init__(self, is_array: bool) -> None:
        self.is_array = is_array
        self.at: str | int | None = None
        self.seen: set[str] = set()


class PartialArguments:
    """Values with places to fragments of JSON text. The fragments of ``write`` and ``close``, joined, are one JSON object."""

    __slots__ = ("_joiner", "_open", "_string_at")

    def __init__(self) -> None:
        self._joiner = SurrogateJoiner()
        self._open: list[_Container] = []
        self._string_at: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was written yet."""
        return not self._open

    def write(self, arg: PartialArg) -> str:
        """The text that one value adds. Raises :class:`ProtocolError` for a path that is none, or leads back."""
        text = arg.string_value
        if text is not None and arg.json_path == self._string_at:
            return self._inside(text)
        value = _scalar(arg)
        if text is None and value is None:
            return ""  # only announces a place
        lead = self._enter(_steps(arg.json_path), arg.json_path)
        if value is not None:
            return lead + value
        # The closing quote waits: the next value may continue this string, with or without `willContinue` before it.
        self._string_at = arg.json_path
        return f'{lead}"{self._inside(text or "")}'

    def close(self) -> str:
        """The text that ends the object; an empty string if nothing was written."""
        lead = self._end_string()
        return lead + self._leave(0)

    def _enter(self, steps: list[str | int], path: str) -> str:
        """Close what does not lead to ``steps``, open what does, and stand before its value."""
        out = [self._end_string()]
        if not self._open:
            self._open.append(_Container(is_array=False))
            out.append("{")
        depth = 0
        while depth < len(self._open) - 1 and depth < len(steps) - 1 and self._open[depth].at == steps[depth]:
            depth += 1
        out.append(self._leave(depth + 1))
        for number in range(depth, len(steps)):
            container, step = self._open[number], steps[number]
            if container.is_array:
                expected = 0 if container.at is None else int(container.at) + 1
                if step != expected:
                    raise ProtocolError(
                        f"streamed arguments: {path!r} does not follow item {container.at} of its array"
                    )
            elif not isinstance(step, str) or step in container.seen:
                raise ProtocolError(
                    f"streamed arguments: {path!r} leads back to a place that was already left"
                )
            else:
                container.seen.add(step)
            if container.at is not None:
                out.append(",")
            container.at = step
            if isinstance(step, str):
                out.append(_quoted(_whole(step)) + ":")
            if number + 1 < len(steps):
                is_array = isinstance(steps[number + 1], int)
                self._open.append(_Container(is_array))
                out.append("[" if is_array else "{")
        return "".join(out)

    def _leave(self, depth: int) -> str:
        closed = self._open[depth:]
        del self._open[depth:]
        return "".join("]" if container.is_array else "}" for container in reversed(closed))

    def _end_string(self) -> str:
        was_open, self._string_at = self._string_at is not None, None
        return self._joiner.flush() + '"' if was_open else ""

    def _inside(self, text: str) -> str:
        return _quoted(self._joiner.join(text))[1:-1]


def _steps(path: str) -> list[str | int]:
    """``$.a['b c'][0]`` to ``["a", "b c", 0]``: the part of RFC 9535 that names one place."""
    steps: list[str | int] = []
    end = 1
    while path[:1] == "$" and end < len(path) and len(steps) < _MAX_DEPTH:
        match = _STEP.match(path, end)
        if match is None:
            break
        name, index, single, double = match.groups()
        if index is not None:
            steps.append(int(index))
        else:
            steps.append(
                name if name is not None else _ESCAPE.sub(r"\1", single if single is not None else double)
            )
        end = match.end()
    if not steps or end != len(path):
        raise ProtocolError(f"streamed arguments: {path[:200]!r} is not a path to one place")
    return steps


def _scalar(arg: PartialArg) -> str | None:
    """A value that comes whole. Numbers keep the digits they came with."""
    if arg.string_value is not None:
        return None
    number = bytes(arg.number_value)
    if number and number != b"null":
        return number.decode()
    if arg.bool_value is not None:
        return "true" if arg.bool_value else "false"
    return None if arg.will_continue else "null"


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _whole(text: str) -> str:
    joiner = SurrogateJoiner()
    return joiner.join(text) + joiner.flush()
