"""RFC 9651 structured fields: a header's text to values.

Text in, plain values out: integers and decimals as int and float, booleans as bool, strings as str, tokens as :class:`Token`, byte sequences as
bytes, dates as :class:`Date`. A list is a list of members, a dictionary a dict of members; a member is ``(value, parameters)``, where the value of
an inner list is a list of members. Anything that breaks the grammar raises ValueError, and nothing else: section 4.2 says that a field with
one mistake is no field at all. (Display Strings, section 3.3.8, are left out: no field read here may hold one, so they are a mistake too.)
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple, TypeAlias

__all__ = ["BareItem", "Date", "Member", "Token", "parse_dictionary", "parse_item", "parse_list"]


class Token(str):
    """A token: a word without quotes, which is not the same as the string of the same letters."""

    __slots__ = ()


class Date(int):
    """A date, as whole seconds since 1970 (UTC)."""

    __slots__ = ()


BareItem: TypeAlias = int | float | bool | str | bytes | Token | Date
Parameters: TypeAlias = dict[str, BareItem]


class Member(NamedTuple):
    """One member of a list or dictionary, or an item: its value and its parameters."""

    value: BareItem | list[Member]
    parameters: Parameters


_SPACES = re.compile(r" *")
_BLANKS = re.compile(r"[ \t]*")
_KEY = re.compile(r"[a-z*][a-z0-9_\-.*]*")
_DECIMAL = re.compile(r"-?[0-9]{1,12}\.[0-9]{1,3}(?![0-9.])")
_INTEGER = re.compile(r"-?[0-9]{1,15}(?![0-9.])")
_STRING = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_TOKEN = re.compile(r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*")
_BINARY = re.compile(r":([A-Za-z0-9+/]*)=*:")
_BOOLEAN = re.compile(r"\?([01])")
_DATE = re.compile(r"@(-?[0-9]{1,15})(?![0-9.])")
_ESCAPED = re.compile(r"\\(.)")


def parse_list(text: str) -> list[Member]:
    """A List (section 4.2.1). Lines of one field are joined with a comma before. Raises ValueError."""
    reader = _Reader(text)
    members: list[Member] = []
    while reader.has_next(is_first=not members):
        members.append(reader.member())
    return members


def parse_dictionary(text: str) -> dict[str, Member]:
    """A Dictionary (section 4.2.2); a key that comes again replaces the earlier value in its place. Raises ValueError."""
    reader = _Reader(text)
    members: dict[str, Member] = {}
    while reader.has_next(is_first=not members):
        key = reader.key()
        member = reader.member() if reader.skip("=") else Member(True, reader.parameters())
        members[key] = member
    return members


def parse_item(text: str) -> Member:
    """An Item (section 4.2.3). Raises ValueError."""
    reader = _Reader(text)
    reader.take(_SPACES)
    item = reader.item()
    reader.take(_SPACES)
    if not reader.is_at_end:
        raise reader.wrong("the end")
    return item


class _Reader:
    """A text and how far it was read."""

    __slots__ = ("_at", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        return self._at == len(self._text)

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def skip(self, character: str) -> bool:
        if self._text.startswith(character, self._at):
            self._at += 1
            return True
        return False

    def wrong(self, wanted: str) -> ValueError:
        return ValueError(f"structured field: expected {wanted} at character {self._at}")

    def has_next(self, *, is_first: bool) -> bool:
        """Whether another member follows; reads the comma before it. A comma with nothing after it is a mistake."""
        if is_first:
            self.take(_SPACES)
            return not self.is_at_end
        self.take(_BLANKS)
        if self.is_at_end:
            return False
        if not self.skip(","):
            raise self.wrong("a comma")
        self.take(_BLANKS)
        if self.is_at_end:
            raise self.wrong("a member after the comma")
        return True

    def key(self) -> str:
        found = self.take(_KEY)
        if found is None:
            raise self.wrong("a key")
        return found[0]

    def member(self) -> Member:
        if not self.skip("("):
            return self.item()
        items: list[Member] = []
        while True:
            spaces = self.take(_SPACES)
            if self.skip(")"):
                return Member(items, self.parameters())
            if items and spaces is not None and not spaces[0]:
                raise self.wrong("a space or )")
            items.append(self.item())

    def item(self) -> Member:
        value = self.bare_item()
        return Member(value, self.parameters())

    def parameters(self) -> Parameters:
        parameters: Parameters = {}
        while self.skip(";"):
            self.take(_SPACES)
            key = self.key()
            value = self.bare_item() if self.skip("=") else True
            parameters[key] = value
        return parameters

    def bare_item(self) -> BareItem:
        if found := self.take(_DECIMAL):
            return float(found[0])
        if found := self.take(_INTEGER):
            return int(found[0])
        if found := self.take(_STRING):
            return _ESCAPED.sub(r"\1", found[1])
        if found := self.take(_TOKEN):
            return Token(found[0])
        if found := self.take(_BOOLEAN):
            return found[1] == "1"
        if found := self.take(_DATE):
            return Date(found[1])
        if found := self.take(_BINARY):
            return _decoded(found[1])
        raise self.wrong("a value")


def _decoded(text: str) -> bytes:
    # Section 4.2.7: missing padding is added, so any padding that was there is dropped first.
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError(f"structured field: not base64: {error}") from error
