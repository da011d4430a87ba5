"""Dates as headers carry them, to seconds since 1970.

HTTP's three forms (RFC 9110 section 5.6.7) and RFC 3339, which Anthropic's reset headers use. Text in, seconds (UTC) or None out; nothing raises.
``email.utils`` is not used: it guesses (a missing zone, a missing time, 31 of February), and a wrong guess here is a wrong wait.
"""

from __future__ import annotations

import calendar
import re

__all__ = ["parse_http_date", "parse_rfc3339"]

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}
_MONTH = "(?P<month>" + "|".join(_MONTHS) + ")"
_TIME = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_SHORT_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"
_IMF = re.compile(f"{_SHORT_DAY}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} (?:GMT|UTC)")
_RFC850 = re.compile(f"{_LONG_DAY}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT")
_ASCTIME = re.compile(f"{_SHORT_DAY} {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME} (?P<year>[0-9]{{4}})")
_RFC3339 = re.compile(
    "(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})[Tt ]"
    + _TIME
    + r"(?P<fraction>\.[0-9]{1,9})?[0-9]*(?:[Zz]|(?P<sign>[+-])(?P<zone_hour>[0-9]{2}):(?P<zone_minute>[0-9]{2}))"
)


def parse_http_date(text: str, *, wall_now: float) -> float | None:
    """An IMF-fixdate, RFC 850 or asctime date; None for anything else.

    ``wall_now`` decides the century of RFC 850's two-digit year: what would lie more than 50 years ahead lies in the past.
    """
    found = _IMF.fullmatch(text) or _ASCTIME.fullmatch(text)
    if found is not None:
        return _seconds(found, int(found["year"]), _MONTHS[found["month"]])
    found = _RFC850.fullmatch(text)
    if found is None:
        return None
    this_year = 1970 + int(wall_now // 31_556_952)
    year = this_year - this_year % 100 + int(found["year"])
    return _seconds(found, year if year <= this_year + 50 else year - 100, _MONTHS[found["month"]])


def parse_rfc3339(text: str) -> float | None:
    """A date and time with a zone, such as ``2026-08-21T10:00:00Z`` or ``2026-08-21T12:00:00.5+02:00``; None for anything else."""
    found = _RFC3339.fullmatch(text)
    if found is None:
        return None
    seconds = _seconds(found, int(found["year"]), int(found["month"]))
    if seconds is None:
        return None
    if found["sign"] is not None:
        offset = int(found["zone_hour"]) * 3600 + int(found["zone_minute"]) * 60
        seconds += offset if found["sign"] == "-" else -offset
    return seconds + float(found["fraction"] or 0)


def _seconds(found: re.Match[str], year: int, month: int) -> float | None:
    day, hour, minute, second = (
        int(found["day"]),
        int(found["hour"]),
        int(found["minute"]),
        int(found["second"]),
    )
    if not (1 <= year <= 9999 and 1 <= month <= 12 and hour < 24 and minute < 60 and second <= 60):
        return None  # 60 is a leap second
    if not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    return float(calendar.timegm((year, month, day, hour, minute, second)))
