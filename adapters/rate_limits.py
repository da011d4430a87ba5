"""What an answer's headers say of limits and waits, whatever the provider calls it.

Headers in (lower-case names, as the transport gives them), seconds and counts out. Pure: the wall clock is an argument. Nothing here raises for
what a header holds; what cannot be read is not there. All times that come out are seconds from now.

The dialects (seen in providers' documents and recorded answers up to 2026-08):

====================================================  =====================================================================
``x-ratelimit-{limit,remaining,reset}-{unit}``        OpenAI, Azure, Groq, xAI, SambaNova: resets are Go durations (``6m0s``), seconds or epochs
``... -{unit}-{minute,hour,day}``, ``-req-minute``    Cerebras (float seconds), Mistral (no resets)
``... -tokens-prompt``, ``-tokens-generated``         Fireworks (no resets)
``anthropic-ratelimit-{unit}-{limit,...}``            Anthropic: resets are RFC 3339
``anthropic-ratelimit-unified-{status,reset}``        Anthropic's subscriptions: ``rejected`` until an epoch
``x-ratelimit-{limit,remaining,reset}``               OpenRouter (epoch in milliseconds), GitHub (epoch in seconds), Together (seconds)
``x-tokenlimit-...``, ``ratelimitbysize-...``         Together, Mistral (older): tokens
``ratelimit``, ``ratelimit-policy``                   Hugging Face: structured fields of draft-ietf-httpapi-ratelimit-headers
====================================================  =====================================================================

Several windows of one unit (a minute's and a day's) become one, the one that binds: an exhausted one before one that is not, of exhausted ones that
which opens last, of the others that with the least left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Literal, TypeAlias

import msgspec

from .http_dates import parse_http_date, parse_rfc3339
from .structured_fields import parse_dictionary, parse_list

__all__ = ["RateLimitState", "Window", "parse_rate_limits", "parse_retry_after", "should_retry_hint"]


class Window(msgspec.Struct, frozen=True, gc=False):
    """One limit: how much there is, how much is left, and the seconds until it is whole again. None is unknown."""

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None


class RateLimitState(msgspec.Struct, frozen=True):
    """What the headers of one answer said. A unit they did not name has an empty window."""

    requests: Window = Window()
    tokens: Window = Window()
    input_tokens: Window = Window()
    output_tokens: Window = Window()


_Unit = Literal["requests", "tokens", "input_tokens", "output_tokens"]
_Fields: TypeAlias = dict[str, str]
_Group: TypeAlias = tuple[str, _Unit, str]
_Clock: TypeAlias = Callable[
    [], float
]  # the provider's time: asked for only where a date is to be compared with it

_MAX_WAIT = 366 * 86_400.0
"""Longer than a leap year is no hint but rubbish (``99999999999999999999``, ``inf``, an epoch where seconds belong)."""
_MAX_COUNT = 10**15
_MAX_TEXT = 256
_PREFIXES: tuple[tuple[str, _Unit], ...] = (
    ("anthropic-ratelimit-", "requests"),
    ("x-ratelimitbysize-", "tokens"),
    ("ratelimitbysize-", "tokens"),
    ("x-ratelimit-", "requests"),
    ("x-tokenlimit-", "tokens"),
    ("ratelimit-", "requests"),
)
_NUMBER = re.compile(r"[0-9]{1,40}(?:\.[0-9]{0,40})?")
_LEADING_NUMBER = re.compile(r"[0-9]{1,40}")
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|us|\u00b5s|\u03bcs|ns|d|h|m|s))+")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|us|\u00b5s|\u03bcs|ns|d|h|m|s)")
_DURATION_UNITS = {
    "d": 86_400.0,
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "\u00b5s": 1e-6,
    "\u03bcs": 1e-6,
    "ns": 1e-9,
}
_EPOCH_FROM = 1e9  # as seconds from now this would be 31 years, so it is a date: 2001 in seconds ...
_EPOCH_MS_FROM = 1e11  # ... and 1973 in milliseconds
_LISTED = re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*, [^,]*|[^,]+")
_POLICY_NAME = re.compile(r'"([^"]*)"')
_POLICY_QUOTA = re.compile(r";\s*q=([0-9]{1,15})")


def parse_rate_limits(headers: Mapping[str, str], *, wall_now: float) -> RateLimitState | None:
    """The limits that an answer's headers state, or None where they state none.

    ``wall_now`` is the time in seconds since 1970; where the answer has a ``Date``, that counts instead: the provider's dates are
    by the provider's clock.
    """
    groups: dict[_Group, _Fields] = {}
    for name, value in headers.items():
        if "limit" in name and len(value) <= _MAX_TEXT:
            place = _place(name)
            if place is not None:
                groups.setdefault(place[0], {})[place[1]] = value.strip()
    found: list[tuple[_Unit, Window]] = []
    if groups or "ratelimit" in headers:
        at = partial(_provider_now, headers, wall_now)
        for (_, unit, _), fields in groups.items():
            window = _window(fields, at)
            if window is not None:
                found.append((unit, window))
        found.extend(_structured(headers, at))
    if not found:
        return None
    binding: dict[str, Window] = {}
    for unit, window in found:
        known = binding.get(unit)
        binding[unit] = window if known is None or _binds(window) < _binds(known) else known
    return RateLimitState(**binding)


def parse_retry_after(headers: Mapping[str, str], *, wall_now: float) -> float | None:
    """The seconds to wait that the answer asks for, or None if it asks for none that makes sense.

    The official SDKs' order: ``retry-after-ms``, then ``retry-after`` as seconds or a date (several: the longest), then AWS's
    ``x-amz-retry-after`` (milliseconds). Zero, a negative number, a time past, infinity and more than a year are no hints: a caller uses its own
    back-off then. How long is *too* long is not decided here.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None and (hint := _sensible(milliseconds / 1000.0)) is not None:
        return hint
    text = headers.get("retry-after", "").strip()
    if text and len(text) <= _MAX_TEXT:
        at = partial(_provider_now, headers, wall_now)
        pieces: list[str] = _LISTED.findall(text)
        hints = [hint for piece in pieces if (hint := _retry_after(piece.strip(), at)) is not None]
        if hints:
            return max(hints)
    milliseconds = _number(headers.get("x-amz-retry-after"))
    return None if milliseconds is None else _sensible(milliseconds / 1000.0)


def should_retry_hint(headers: Mapping[str, str]) -> bool | None:
    """``x-should-retry`` (OpenAI, Anthropic): the provider's own word on whether to try again; None if it says nothing."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def _retry_after(text: str, at: _Clock) -> float | None:
    seconds = _number(text)
    if seconds is None:
        date = _date(text, at)
        seconds = None if date is None else date - at()
    return None if seconds is None else _sensible(seconds)


@lru_cache(
    512
)  # the names are few and always the same ones; a provider that makes them up cannot fill the memory
def _place(name: str) -> tuple[_Group, str] | None:
    """Which window a header speaks of, and which of limit, remaining and reset it gives; None if it is not about limits."""
    known = next((row for row in _PREFIXES if name.startswith(row[0])), None)
    if known is None:
        return None
    prefix, default = known
    words = name[len(prefix) :].replace("_", "-").split("-")
    if words[0] == "unified":
        is_verdict = words[1:] in (["status"], ["reset"])
        return ((prefix, "requests", "unified"), words[1]) if is_verdict else None
    fields = [word for word in words if word in ("limit", "remaining", "reset")]
    if len(fields) != 1:
        return None
    words.remove(fields[0])
    unit = _unit(words, default)
    return None if unit is None else ((prefix, unit, "-".join(words)), fields[0])


_PERIODS = frozenset({"second", "minute", "hour", "day", "month", "1s", "1m", "1h", "1d", "per"})


def _unit(words: list[str], default: _Unit) -> _Unit | None:
    said = set(words) - _PERIODS
    if said & {"tokens", "token"}:
        if said & {"input", "prompt"}:
            return "input_tokens"
        return "output_tokens" if said & {"output", "generated", "completion"} else "tokens"
    if said & {"requests", "request", "req"}:
        return "requests"
    return None if said else default  # images, audio seconds and the like are nothing we count


def _window(fields: _Fields, at: _Clock) -> Window | None:
    reset = _reset(fields.get("reset"), at)
    status = fields.get("status")
    if status is not None:
        # Anthropic's subscriptions give no counts, only a verdict.
        return Window(remaining=0, reset=reset) if status.lower() == "rejected" else None
    limit, remaining = _count(fields.get("limit")), _count(fields.get("remaining"))
    return None if limit is None and remaining is None else Window(limit, remaining, reset)


def _binds(window: Window) -> tuple[int, float]:
    """Sorts windows of one unit: the smallest is the one that binds."""
    if window.remaining is None:
        return (2, 0.0)
    if window.remaining == 0:
        return (0, -(window.reset or 0.0))
    return (1, float(window.remaining))


def _structured(headers: Mapping[str, str], at: _Clock) -> list[tuple[_Unit, Window]]:
    text = headers.get("ratelimit", "")
    if not text or len(text) > _MAX_TEXT:
        return []
    try:
        members = parse_list(text)
    except ValueError:
        members = []
    quotas = _quotas(headers.get("ratelimit-policy", ""))
    found: list[tuple[_Unit, Window]] = []
    for value, parameters in members:
        remaining, reset = parameters.get("r"), parameters.get("t")
        if type(remaining) is int and remaining >= 0:  # not a bool, not a date
            seconds = _reset(str(reset), at) if isinstance(reset, int | float) else None
            unit: _Unit = "tokens" if "token" in str(parameters.get("qu", "")) else "requests"
            found.append((unit, Window(quotas.get(str(value)), remaining, seconds)))
    return found or _older_draft(text, at)


def _older_draft(text: str, at: _Clock) -> list[tuple[_Unit, Window]]:
    """Drafts up to 07 made it a dictionary: ``limit=100, remaining=50, reset=5``."""
    try:
        members = parse_dictionary(text)
    except ValueError:
        return []
    fields: _Fields = {
        name: str(members[name].value) for name in ("limit", "remaining", "reset") if name in members
    }
    window = _window(fields, at)
    return [] if window is None else [("requests", window)]


def _quotas(policy: str) -> dict[str, int]:
    """The limit of each named policy.

    Read leniently, not as a structured field: huggingface.co sends ``"fixed window";"api";q=1000;w=300`` (seen 2026-08), which is none.
    """
    quotas: dict[str, int] = {}
    for piece in policy[:_MAX_TEXT].split(","):
        quota = _POLICY_QUOTA.search(piece)
        if quota is not None:
            quotas.update((name, int(quota[1])) for name in _POLICY_NAME.findall(piece))
    return quotas


def _reset(text: str | None, at: _Clock) -> float | None:
    """A reset, as a duration, a number of seconds, an epoch or a date, to seconds from now; 0 for what is past."""
    if not text:
        return None
    number = _number(text)
    if number is None:
        if _DURATION.fullmatch(text):
            number = sum(float(part[1]) * _DURATION_UNITS[part[2]] for part in _DURATION_PART.finditer(text))
        else:
            date = _date(text, at)
            if date is None:
                return None
            number = date - at()
    elif number >= _EPOCH_MS_FROM:
        number = number / 1000.0 - at()
    elif number >= _EPOCH_FROM:
        number -= at()
    return max(number, 0.0) if number <= _MAX_WAIT else None


def _count(text: str | None) -> int | None:
    """A count. ``100, 100;w=60`` (an old draft) is 100, ``1000.0`` is 1000; a negative one (Azure's -1) is unknown."""
    found = None if text is None else _LEADING_NUMBER.match(text)
    if found is None:
        return None
    count = int(found[0])
    return count if count <= _MAX_COUNT else None


def _number(text: str | None) -> float | None:
    # float() alone would take 1_000, Arabic digits, inf and nan.
    if text is None or _NUMBER.fullmatch(text.strip()) is None:
        return None
    return float(text)


def _date(text: str, at: _Clock) -> float | None:
    date = parse_http_date(text, wall_now=at())
    return parse_rfc3339(text) if date is None else date


def _provider_now(headers: Mapping[str, str], wall_now: float) -> float:
    date = parse_http_date(headers.get("date", "").strip(), wall_now=wall_now)
    return wall_now if date is None else date


def _sensible(seconds: float) -> float | None:
    return seconds if 0.0 < seconds <= _MAX_WAIT else None
