"""The plan of a simulation: what the providers do to us and what the callers want, drawn beforehand from one seed.

A :class:`Plan` is a value. Each provider has its *weather*, one period after the other: calm, flaky, throttling, breaking off, slow, down, or
a host that is dead, refuses or does not resolve. Each caller has a :class:`Wish`. From ``calm_from`` on nothing goes wrong any more.

What a provider says to a request is a function of the two (:func:`said_by`), with no word twice in it, so that a lost, doubled or
mixed-up piece shows in the text.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from random import Random
from typing import Literal

import msgspec

from tercet.codecs.vocabulary import ReasoningDelta, TextDelta, Usage, UsageReport

from .provider import WireName
from .script import (
    Answer,
    Reply,
    StreamFault,
    comments_forever,
    cut,
    fail,
    garbage,
    refuse,
    reset,
    stall,
    stream_error,
    truncate,
)

__all__ = ["PROVIDERS", "Plan", "Weather", "Wish", "answer_in", "plan", "said_by", "words_of"]

PROVIDERS: dict[str, WireName] = {
    "alder": "openai_chat",
    "birch": "anthropic",
    "cedar": "gemini",
    "dogwood": "openai_responses",
    "elder": "ollama",
}

HostState = Literal["up", "dead", "refusing", "unresolvable"]
Pool = Literal["", "shared", "narrow", "tight", "empty"]

_BROKEN_OFF = (
    "cut",
    "reset",
    "stall",
    "truncate",
    "garbage",
    "nonsense",
    "stream_error",
    "comments",
    "refuse",
)
_BUSY = ("429", "429", "529", "503")
_DOWN = ("500", "502", "503", "refuse")
_OF_THE_REQUEST = ("400", "404", "page")
_OF_THE_KEY = ("401", "402", "403")
_BREAKERS: tuple[dict[str, float], ...] = (
    {},
    {"open_for": 0.5, "open_cap": 2.0, "minimum_calls": 20},
    {"minimum_calls": 1000},
)
_ANY = (*_BROKEN_OFF, *_BUSY, *_DOWN, *_OF_THE_REQUEST)


class Weather(msgspec.Struct, frozen=True):
    """From ``start`` (seconds of trio's clock) on: a request goes wrong with probability ``rate`` in one of the ways ``faults``; answers that go
    well begin after ``first_delay`` and go on every ``pace`` seconds."""

    start: float
    rate: float
    faults: tuple[str, ...]
    host: HostState = "up"
    first_delay: float = 0.0
    pace: float = 0.0


class Wish(msgspec.Struct, frozen=True):
    """One request and how its caller behaves: leaves after so many tokens, is cancelled after so many seconds, has a deadline, reads slowly (seconds
    a token), asks inside a scope (``pool``)."""

    number: int
    at: float
    targets: tuple[str, ...]
    is_streamed: bool
    on_interruption: Literal["raise", "restart"]
    is_hedged: bool
    priority: int
    leave_after: int | None
    cancel_after: float | None
    deadline: float | None
    slowness: float
    pool: Pool

    @property
    def is_patient(self) -> bool:
        """Whether only the providers can keep it from its whole answer."""
        impatience = (self.leave_after, self.cancel_after, self.deadline)
        return all(limit is None for limit in impatience) and self.pool in ("", "shared", "narrow")


class Plan(msgspec.Struct, frozen=True):
    """Everything that is decided before a run: see :func:`plan`."""

    seed: int
    wishes: tuple[Wish, ...]
    weather: dict[str, tuple[Weather, ...]]
    calm_from: float
    latency: float
    buffer_size: int
    breaker: dict[str, float]
    """Settings of the breakers, those that differ from the engine's defaults."""

    @property
    def ends(self) -> float:
        """When the last request is made."""
        return self.wishes[-1].at if self.wishes else 0.0

    def weather_at(self, provider: str, now: float) -> Weather:
        """A provider's weather at that time."""
        current = self.weather[provider][0]
        for period in self.weather[provider]:
            if period.start > now:
                break
            current = period
        return current


def plan(
    seed: int,
    requests: int,
    *,
    a_second: float = 10.0,
    calm_from: float = math.inf,
    refuse_keys: bool = True,
    patient: bool = False,
    breaker: dict[str, float] | None = None,
) -> Plan:
    """A plan drawn from ``seed``: ``requests`` wishes, about ``a_second`` of them each second, and weather for as long.

    ``calm_from`` is when the faults stop; ``refuse_keys`` lets keys be refused, too; ``patient`` gives only callers who wait to the end and read at once.
    ``breaker`` are the breakers' settings; without any they are drawn, too, as breakers that open keep much else from happening.
    """
    random = Random(f"plan {seed}")  # a simulation is to be repeated, not to be unguessable
    at, wishes = 0.0, list[Wish]()
    for number in range(1, requests + 1):
        at += random.expovariate(a_second)
        wishes.append(_wish(random, number, at, patient=patient))
    weather = {name: _weather(random, at, calm_from, refuse_keys=refuse_keys) for name in PROVIDERS}
    latency = random.choice((0.0, 0.005, 0.05))
    buffer_size = random.choice((700, 65536, 65536))
    drawn = random.choice(_BREAKERS)
    return Plan(
        seed, tuple(wishes), weather, calm_from, latency, buffer_size, drawn if breaker is None else breaker
    )


def _wish(random: Random, number: int, at: float, *, patient: bool) -> Wish:
    targets = random.sample(sorted(PROVIDERS), random.choice((1, 1, 2, 2, 3, 5)))
    pool: Pool = random.choice(("", "", "", "", "", "", "shared", "narrow", "tight", "empty"))
    manner = (
        "stays" if patient else random.choice(("stays",) * 6 + ("leaves", "is cancelled", "has a deadline"))
    )
    if patient and pool in ("tight", "empty"):
        pool = ""
    return Wish(
        number=number,
        at=at,
        targets=tuple(targets),
        is_streamed=random.random() < 0.65,
        on_interruption=random.choice(("raise", "restart")),
        is_hedged=random.random() < 0.25,
        priority=random.choice((-1, 0, 0, 0, 1)),
        leave_after=random.randrange(12) if manner == "leaves" else None,
        cancel_after=random.choice((0.0, random.random() * 0.2, random.random() * 6))
        if manner == "is cancelled"
        else None,
        deadline=random.choice((0.01, random.random(), random.random() * 10))
        if manner == "has a deadline"
        else None,
        slowness=0.0 if patient else random.choice((0.0,) * 8 + (0.01, 0.3)),
        pool=pool,
    )


def _weather(random: Random, until: float, calm_from: float, *, refuse_keys: bool) -> tuple[Weather, ...]:
    at, periods = 0.0, list[Weather]()
    while at < min(until, calm_from):
        periods.append(_period(random, at, refuse_keys=refuse_keys))
        at += random.expovariate(1 / 5)
    return (*periods, Weather(calm_from, 0.0, ())) if periods else (Weather(0.0, 0.0, ()),)


def _period(random: Random, at: float, *, refuse_keys: bool) -> Weather:
    pace = random.choice((0.0, 0.0, 0.02, 0.2))
    first_delay = random.choice((0.0, 0.05, 0.5))
    kinds = [*("calm", "flaky", "breaking off") * 3, "busy", "down", "slow", "host"]
    match random.choice([*kinds, "key"] if refuse_keys and random.random() < 0.3 else kinds):
        case "flaky":
            return Weather(at, 0.35, _ANY, first_delay=first_delay, pace=pace)
        case "breaking off":
            return Weather(at, 0.7, _BROKEN_OFF, first_delay=first_delay, pace=pace)
        case "busy":
            return Weather(at, random.choice((0.3, 0.9)), _BUSY, first_delay=first_delay)
        case "down":
            return Weather(at, 1.0, _DOWN)
        case "slow":
            return Weather(
                at, 0.1, _ANY, first_delay=random.choice((2.0, 6.0)), pace=random.choice((0.2, 1.0))
            )
        case "host":
            states: Sequence[HostState] = ("dead", "refusing", "unresolvable")
            return Weather(at, 0.1, _ANY, random.choice(states))
        case "key":
            return Weather(at, 0.5, _OF_THE_KEY)
        case _:
            return Weather(at, 0.02, _ANY, first_delay=first_delay, pace=pace)


# ---- what is said


def words_of(number: int) -> int:
    """The words in the answer to request ``number``: mostly a few, now and then more than a stream hands out between two checkpoints."""
    return 300 if number % 83 == 0 else 1 + number * 7 % 23


@functools.lru_cache(maxsize=256)
def said_by(provider: str, number: int) -> str:
    """The text of ``provider``'s answer to request ``number``."""
    return " ".join([f"{provider}/{number}", *(f"w{n}" for n in range(words_of(number) - 1)), "end."])


def answer_in(weather: Weather, provider: str, number: int, random: Random) -> Answer:
    """What ``provider`` answers to request ``number`` in this weather."""
    tokens = _tokens(provider, number)
    reply = Reply(tokens, pace=weather.pace, first_delay=weather.first_delay)
    if random.random() >= weather.rate:
        return reply
    kind = random.choice(weather.faults)
    if kind.isdigit():
        retry_after = random.choice((None, None, 0.5, 2, 8, "a moment"))
        return fail(int(kind), retry_after=retry_after if kind in ("429", "503", "529") else None)
    if kind == "page":
        return fail(200, body=b"<html><title>Sign in to the network</title></html>")
    if kind == "refuse":
        return refuse()
    return msgspec.structs.replace(reply, fault=_stream_fault(kind, random, len(tokens)))


def _tokens(provider: str, number: int) -> tuple[TextDelta | ReasoningDelta | UsageReport, ...]:
    words = said_by(provider, number).split(" ")
    thoughts = [ReasoningDelta(f" t{n}") for n in range(3)] if number % 6 == 0 else []
    text = [TextDelta(word if n == 0 else f" {word}") for n, word in enumerate(words)]
    usage = Usage(input_tokens=2, output_tokens=len(words) + len(thoughts), reasoning_tokens=len(thoughts))
    return (*thoughts, *text, UsageReport(usage))


def _stream_fault(kind: str, random: Random, tokens: int) -> StreamFault:
    events = random.choice((0, 1, 2, random.randrange(tokens + 3)))
    extra = random.choice((0, 0, random.randrange(200)))
    match kind:
        case "cut":
            return cut(after_events=random.choice((None, events)), after_bytes=extra)
        case "reset":
            return reset(after_events=random.choice((None, events)), after_bytes=extra)
        case "stall":
            return stall(after_events=events, after_bytes=extra)
        case "truncate":
            return truncate(after_events=events)
        case "garbage":
            return garbage(after_events=events)
        case "nonsense":
            return garbage(b"data: {not json\n\n", after_events=events)
        case "comments":
            return comments_forever(1.0, after_events=events)
        case _:
            return stream_error(after_events=events)
