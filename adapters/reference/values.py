"""Values as JavaScript has them: truth, text, numbers and JSON.

The reference is a JavaScript program, and some of that shows on the wire and in its results: which values count as absent,
how a number is written, that a lone surrogate is escaped and that keys which look like array indices come first.
ECMA-262 is the source: ToBoolean 7.1.2, Number::toString 6.1.6.1.20, JSON 25.5, OrdinaryOwnPropertyKeys 10.1.11.1.

``None`` stands for both ``undefined`` and ``null``. Where the difference shows (an absent key is not written, a null is),
objects are built with :func:`present`, which leaves absent keys out.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard, cast

__all__ = [
    "get",
    "is_list",
    "is_object",
    "is_true",
    "items_of",
    "number_text",
    "parse_float",
    "parse_json",
    "present",
    "stringify",
    "text_of",
]

_SAFE_INTEGER = 2**53
_MAX_INDEX = 2**32 - 2
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_FLOAT_PREFIX = re.compile(r"[+-]?(?:Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_HALF = re.compile("[\ud800-\udfff]")


def present(**fields: Any) -> dict[str, Any]:
    """An object of the fields that have a value (are not None), in the order given."""
    return {name: value for name, value in fields.items() if value is not None}


def is_true(value: Any) -> bool:
    """Whether ``if (value)`` would take the branch: everything but undefined, null, false, 0, NaN and the empty string."""
    if value is None or isinstance(value, (bool, str)):
        return bool(value)
    if isinstance(value, (int, float)):
        return value != 0 and not math.isnan(value)
    return True


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether it is a JSON array."""
    return isinstance(value, list)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether it is a JSON object."""
    return isinstance(value, dict)


def items_of(value: Any) -> list[Any]:
    """The items of an array, none of anything else."""
    return value if is_list(value) else []


def get(value: Any, *path: str | int) -> Any:
    """``value?.a?.[0]?.b``: what is found at the end of the path, None when a step of it is not there."""
    for step in path:
        if isinstance(step, str) and isinstance(value, Mapping):
            value = cast("Mapping[str, Any]", value).get(step)
        elif isinstance(step, int) and is_list(value) and 0 <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def number_text(value: float) -> str:
    """A number as JavaScript writes it: ``1``, ``0.1``, ``1e+21``, ``1e-7``, ``NaN``, ``-Infinity``."""
    if isinstance(value, int) and abs(value) <= _SAFE_INTEGER:
        return str(value)
    value = float(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    point = len(whole) + (int(exponent) if exponent else 0)
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    if 0 < point <= 21:
        if len(digits) <= point:
            return sign + digits.ljust(point, "0")
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = point - 1
    mantissa = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{sign}{mantissa}e{'+' if power > 0 else '-'}{abs(power)}"


def text_of(value: Any) -> str:
    """``String(value)``."""
    if isinstance(value, str):
        return value
    if value is None:
        return "undefined"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number_text(value)
    if is_list(value):
        return ",".join("" if item is None else text_of(item) for item in value)
    return "[object Object]"


def parse_float(text: Any) -> float:
    """``parseFloat``: the number the text begins with, NaN when it begins with none."""
    found = _FLOAT_PREFIX.match(text_of(text).lstrip())
    return float(found.group().replace("Infinity", "inf")) if found else math.nan


def _integer(digits: str) -> float:
    value = int(digits) if len(digits) <= 400 else math.inf
    return value if abs(value) <= _SAFE_INTEGER else _rounded(float(digits))


def _rounded(value: float) -> float:
    return value if math.isinf(value) else int(value)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_int=_integer, parse_constant=_no_constant)


def parse_json(text: str | bytes | bytearray | memoryview) -> Any:
    """``JSON.parse``: integers beyond 2^53 are rounded as a double is; lone surrogates stay. Raises ``ValueError``."""
    if not isinstance(text, str):
        text = bytes(text).decode("utf-8", "replace")
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def stringify(value: Any, indent: int = 0) -> str:
    """``JSON.stringify(value, null, indent)``; None is written as ``null``."""
    out: list[str] = []
    _write(value, out.append, " " * indent, "\n" if indent else "")
    return "".join(out)


def _write(value: Any, put: Any, indent: str, line: str) -> None:
    if isinstance(value, str):
        put(_quoted(value))
    elif value is None:
        put("null")
    elif isinstance(value, bool):
        put("true" if value else "false")
    elif isinstance(value, (int, float)):
        put(number_text(value) if math.isfinite(value) else "null")
    elif isinstance(value, Mapping):
        fields = _ordered(cast("Mapping[str, Any]", value))
        inner = line + indent
        colon = ": " if line else ":"
        put("{")
        for place, (name, item) in enumerate(fields):
            put(("," if place else "") + inner + _quoted(name) + colon)
            _write(item, put, indent, inner)
        put((line if fields else "") + "}")
    else:
        items = list(cast("Iterable[Any]", value))
        inner = line + indent
        put("[")
        for place, item in enumerate(items):
            put(("," if place else "") + inner)
            _write(item, put, indent, inner)
        put((line if items else "") + "]")


def _ordered(fields: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Keys that are array indices come first, ascending; the others as they were added."""
    indices = [name for name in fields if _INDEX.fullmatch(name) and int(name) <= _MAX_INDEX]
    if not indices:
        return list(fields.items())
    first = sorted(indices, key=int)
    return [(name, fields[name]) for name in (*first, *(name for name in fields if name not in set(indices)))]


def _quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    if quoted.isascii() or _HALF.search(quoted) is None:
        return quoted
    # Two halves that meet are one character; a half alone is escaped (well-formed JSON.stringify, ECMA-262 25.5.2.3).
    whole = quoted.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return _HALF.sub(lambda half: f"\\u{ord(half.group()):04x}", whole)
