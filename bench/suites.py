"""The suites: what is run beside what, and how much of it.

A heavy peer does less of the same work than a light one, else a round would take minutes; figures are CPU per unit, so they compare. Where
doing less helps the peer (fewer connections at a time), it is said in the case's note.
"""

from __future__ import annotations

from collections.abc import Callable

from .measure import Case, Figure, compare, single
from .peers import LABELS, Client, Clients
from .upstream import HEADROOM, Upstream

MICRO = 1e6
LENGTH = 200
"""Tokens of an unpaced stream."""
LONG = 5000
Work = tuple[str, str, dict[str, int], str]
"""A client, what follows its name in the figure, how much it does, and the note."""

_DISPATCH: list[Work] = [
    ("tercet_all", "", {"tasks": 1000, "each": 10}, ""),
    ("tercet_bare", "", {"tasks": 1000, "each": 10}, ""),
    ("trio_plain", "", {"tasks": 1000, "each": 10}, "no deadline, no limits, no retry"),
    ("trio_h11", "", {"tasks": 1000, "each": 10}, "the same, with a careful parser"),
    ("aiohttp_asyncio", "", {"tasks": 1000, "each": 5}, ""),
    (
        "httpx_trio",
        ", 100 connections",
        {"tasks": 1000, "each": 1, "connections": 100},
        "its best: the tasks queue for connections",
    ),
    (
        "httpx2_trio",
        ", 100 connections",
        {"tasks": 1000, "each": 1, "connections": 100},
        "its best: the tasks queue for connections",
    ),
    (
        "openai_sdk",
        ", 100 connections",
        {"tasks": 1000, "each": 1, "connections": 100},
        "its best: the tasks queue for connections",
    ),
    ("litellm_sdk", "", {"tasks": 100, "each": 5}, "100 tasks"),
    ("any_llm_sdk", "", {"tasks": 100, "each": 5}, "100 tasks"),
]
_CONNECTIONS: list[Work] = [
    ("tercet_all", "", {"tasks": 1000, "each": 5}, ""),
    ("httpx_trio", ", 1,000 connections", {"tasks": 1000, "each": 1}, ""),
    ("openai_sdk", ", 1,000 connections", {"tasks": 1000, "each": 1}, ""),
]
_ANTHROPIC: list[Work] = [
    ("tercet_anthropic", "", {"tasks": 100, "each": 20}, "100 tasks"),
    ("anthropic_sdk", "", {"tasks": 100, "each": 5}, "100 tasks"),
]
_TOKENS: list[Work] = [
    ("tercet_all", "", {"tasks": 1000, "each": 1}, ""),
    ("tercet_bare", "", {"tasks": 1000, "each": 1}, "SseDecoder, untyped msgspec"),
    ("trio_plain", "", {"tasks": 1000, "each": 1}, ""),
    ("trio_h11", "", {"tasks": 1000, "each": 1}, ""),
    ("aiohttp_asyncio", "", {"tasks": 500, "each": 1}, "500 streams at a time"),
    ("httpx_trio", "", {"tasks": 100, "each": 2}, "100 streams at a time"),
    ("httpx2_trio", "", {"tasks": 100, "each": 2}, "100 streams at a time"),
    ("openai_sdk", "", {"tasks": 100, "each": 1}, "100 streams at a time"),
    ("litellm_sdk", "", {"tasks": 20, "each": 1}, "20 streams at a time"),
    ("any_llm_sdk", "", {"tasks": 100, "each": 1}, "100 streams at a time"),
]


def dispatch(upstream: Upstream, clients: Clients, rounds: int) -> list[Figure]:
    """P1: CPU of one whole answer."""
    figures = _closed(upstream, clients, rounds, "dispatch", _DISPATCH, "openai", "json")
    figures += _closed(
        upstream,
        clients,
        min(rounds, 2),
        "dispatch, a connection for every task",
        _CONNECTIONS,
        "openai",
        "json",
    )  # seconds of CPU for a thousand requests: few rounds
    return figures + _closed(
        upstream, clients, rounds, "dispatch, Anthropic's wire", _ANTHROPIC, "anthropic", "json"
    )


def tokens(upstream: Upstream, clients: Clients, rounds: int) -> list[Figure]:
    """P2: CPU of one token of an unpaced stream."""
    figures = _closed(upstream, clients, rounds, "tokens", _TOKENS, "openai", "stream", LENGTH)
    long: list[Work] = [
        (name, "", {"tasks": 20, "each": 2}, f"{LONG} tokens a stream, 20 at a time")
        for name in ("tercet_all", "trio_plain")
    ]
    figures += _closed(upstream, clients, rounds, "tokens, long streams", long, "openai", "stream", LONG)
    anthropic: list[Work] = [
        (name, suffix, {"tasks": 100, "each": 1}, note) for name, suffix, _, note in _ANTHROPIC
    ]
    return figures + _closed(
        upstream, clients, rounds, "tokens, Anthropic's wire", anthropic, "anthropic", "stream", LENGTH
    )


def _closed(
    upstream: Upstream, clients: Clients, rounds: int, suite: str, works: list[Work], *what: object
) -> list[Figure]:
    """A crowd in a closed loop, for all clients in turns."""
    base = upstream.base(str(what[0]), *what[1:])
    kind = "dispatch" if "json" in what else "tokens"
    unit = "us/request" if kind == "dispatch" else "us/token"
    cases: dict[str, Case] = {}
    notes: dict[str, str] = {}
    headroom: dict[str, float] = {}
    for name, suffix, much, note in works:
        client = clients.get(name)
        if client is None:
            continue
        label = LABELS[name] + suffix

        def case(client: Client = client, much: dict[str, int] = much, label: str = label) -> float:
            before = upstream.cpu()
            told = client.ask(kind, base=base, **much)
            repeats = (much["each"] + 1) / much["each"]  # the server also answered what was not measured
            used = (upstream.cpu() - before) / repeats
            headroom[label] = float(told["cpu"]) / max(used, 1e-9)
            return float(told["cpu"]) / float(told["units"])

        cases[label] = case
        notes[label] = note
    figures = compare(
        suite, cases, rounds=rounds, unit=unit, convert=lambda seconds: seconds * MICRO, notes=notes
    )
    for figure in figures:
        found = headroom[figure.case]
        if found < HEADROOM:
            said = f"the server used 1/{found:.1f} of this client's CPU"
            figure.note = f"{figure.note}; {said}" if figure.note else said
    return figures


def paced(upstream: Upstream, clients: Clients, rounds: int) -> list[Figure]:
    """P3: CPU of one token when each comes in a read of its own, 1,000 streams at 10 tokens a second each."""
    base = upstream.base("openai", "paced", 100_000, 10_000_000)
    cases: dict[str, Case] = {}
    for name, client in clients.those(
        ("tercet_all", "trio_plain", "tercet_bare", "trio_h11", "aiohttp_asyncio")
    ).items():
        cases[LABELS[name]] = _paced_case(client, base, 1000)
    return compare("paced", cases, rounds=rounds, unit="us/token", convert=lambda seconds: seconds * MICRO)


def _paced_case(client: Client, base: str, streams: int) -> Callable[[], float]:
    return lambda: client.seconds("paced", base=base, streams=streams, seconds=4.0)


def scale(upstream: Upstream, clients: Clients, _rounds: int) -> list[Figure]:
    """P4: what one core holds: 1,000 streams at 30 tokens a second, then 10,000 streams that say one word and wait."""
    client = clients.get("tercet_all")
    assert client is not None  # our own
    told = client.ask(
        "paced", base=upstream.base("openai", "paced", 33_333, 10_000_000), streams=1000, seconds=5.0
    )
    with Clients() as fresh:
        client = fresh.get("tercet_all")
        assert client is not None
        idle = upstream.base("openai", "paced", 3_600_000_000, 2)
        small = client.ask("paced", base=idle, streams=50, seconds=0.1)
        held = client.ask("paced", base=idle, streams=10_000, seconds=1.0)
    return [
        single(
            "scale",
            "1,000 streams at 30 tokens/s: tokens that came",
            told["units"] / told["wall"],
            "tokens/s",
        ),
        single("scale", "1,000 streams at 30 tokens/s: of one core", 100 * told["cpu"] / told["wall"], "%"),
        single(
            "scale",
            "10,000 open streams: memory",
            held["kib"] * 10_000 / 1024,
            "MiB",
            f"after {small['kib']:.0f} KiB",
        ),
        single("scale", "10,000 open streams: each", held["kib"], "KiB"),
    ]
