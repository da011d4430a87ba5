"""``tercet parity DIR``: the reference face against recordings of the reference itself.

Every recording is played: its calls are made on a :class:`~tercet.adapters.reference.ReferenceProvider`, over the real transport and an
in-memory network that answers each request with the recorded bytes, cut as recorded, in virtual time. Then everything is compared:
requests, chunks, results, errors, waits.
"""

from __future__ import annotations

import argparse
import base64
import functools
import json
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, TextIO

import msgspec
import trio
import trio.testing

from tercet.adapters.auth.google_jwt import NO_SIGNER
from tercet.adapters.call import Origin
from tercet.adapters.reference import IDENTITY, Conversation, ReferenceProvider
from tercet.adapters.reference.comparison import Outcome, Played, Recording, SeenRequest, compare
from tercet.adapters.reference.deviations import settle
from tercet.adapters.reference.family import NO_TOKENIZER
from tercet.adapters.reference.lists import get_model_endpoints, get_models, get_openai_models
from tercet.adapters.reference.lm_studio import get_lm_studio_ids
from tercet.adapters.reference.vscode_lm import vscode_models
from tercet.codecs.vocabulary import ConfigurationError, ConnectError, TercetError
from tercet.engine.runtime.reference import Surroundings, o200k_counter, run as drive
from tercet.engine.runtime.transport import Connection, Transport
from tercet.engine.testing import End, MemoryNetwork, ScriptedExchange, ScriptedServer

from .sockets import StageServer
from .stage import Stage, as_recorded, marked_error, played_recording

__all__ = ["Report", "check", "check_directory", "play", "run"]

_CLOCK = 1759320000.0  # 2025-10-01T12:00:00Z, the clock of the recordings
_CHANCE = 0.5  # and what their random numbers were
_SPARE = 16  # requests beyond the recorded ones that are still counted

Cut = Callable[[Sequence[bytes]], Sequence[bytes]]


class Report(msgspec.Struct):
    """What came of one recording: ``status`` is ``match``, ``declared``, ``differ`` or ``not run``."""

    file: str
    status: str
    rules: list[str]
    differences: list[str]


def run(options: argparse.Namespace) -> int:
    """The command: ``options`` has ``directory``, ``recut`` and ``json``."""
    directory = Path(options.directory)
    if not directory.is_dir():
        print(f"{directory} is not a folder of recordings", file=sys.stderr)
        return 2
    return check_directory(directory, sys.stdout, recut=options.recut, as_json=options.json)


def check_directory(directory: Path, out: TextIO, *, recut: bool = False, as_json: bool = False) -> int:
    """Check every recording under ``directory`` and write the report to ``out``.

    0 when nothing differs that is not declared, 1 when something does, 2 when there is nothing to check. ``recut`` plays every recording
    three times more, its answers cut after every byte, every seven bytes, and at random places.
    """
    found = ((path, json.loads(path.read_text("utf-8"))) for path in sorted(directory.rglob("*.json")))
    reports = [
        check(recording, path.relative_to(directory).as_posix(), recut=recut)
        for path, recording in found
        if "exchanges" in recording
    ]
    counts = {
        status: sum(report.status == status for report in reports)
        for status in ("match", "declared", "differ", "not run")
    }
    if as_json:
        summary = {"recordings": len(reports), **counts, "files": msgspec.to_builtins(reports)}
        out.write(json.dumps(summary, ensure_ascii=False) + "\n")
    else:
        for report in reports:
            out.writelines(f"{report.file}: {line}\n" for line in report.differences)
        if counts["not run"]:
            out.write(
                f"{counts['not run']} not run: they count tokens or sign, and what does that is not installed "
                "(tercet[tokens], tercet[vertex])\n"
            )
        out.write(
            f"{counts['match']} of {len(reports)} match, {counts['declared']} declared, {counts['differ']} differ\n"
        )
    if not reports:
        return 2
    return 1 if counts["differ"] else 0


def check(recording: Recording, name: str, *, recut: bool = False) -> Report:
    """Play one recording, and with ``recut`` three times more, its answers cut otherwise."""
    rules: dict[str, None] = {}
    lines: list[str] = []
    for label, cut in _cuts(name) if recut else [("", _as_recorded)]:
        played = play(recording, cut)
        if any(
            outcome.error is not None and outcome.error.code in (NO_TOKENIZER, NO_SIGNER)
            for outcome in played.outcomes
        ):
            return Report(name, "not run", [], [])
        left, used = settle(recording, played, compare(recording, played))
        rules.update(dict.fromkeys(used))
        lines.extend(f"{label}{difference}" for difference in left)
    status = "differ" if lines else "declared" if rules else "match"
    return Report(name, status, list(rules), lines)


def play(recording: Recording, cut: Cut | None = None) -> Played:
    """Make the recording's calls against its recorded answers, in a trio run and a virtual time of its own.

    ``cut`` says how the body of an answer is cut into writes; as recorded by default.
    """
    clock = trio.testing.MockClock(autojump_threshold=0)
    return trio.run(_play, played_recording(recording), cut or _as_recorded, clock=clock)


async def _play(recording: Recording, cut: Cut) -> Played:
    exchanges = [
        _scripted(exchange["response"], cut) if "response" in exchange else ScriptedExchange()
        for exchange in recording["exchanges"]
    ]
    server = ScriptedServer([*exchanges, *[ScriptedExchange([End()])] * _SPARE])
    sleeps: list[float] = []

    async def sleep(seconds: float) -> None:
        sleeps.append(seconds * 1000)
        await trio.sleep(seconds)

    start = trio.current_time()
    stage = Stage(recording, cut)
    around = Surroundings(
        lambda: _CLOCK + trio.current_time() - start,
        lambda: _CHANCE,
        sleep,
        read_file=stage.read_file,
        write_file=stage.write_file,
        start=stage.start,
        host=stage,
    )
    stage_server = StageServer(recording["exchanges"], server)
    async with MemoryNetwork() as memory:
        memory.serve(lambda _: True, stage_server)
        network = _Network(memory, recording.get("refused_hosts", ()))
        around = msgspec.structs.replace(around, network=network)
        transport = Transport(network)
        outcomes = await _calls(recording, transport, around)
        transport.close()
    requests = [
        _seen(origin, raw, stage_server.said.get(number, ()))
        for number, (origin, raw) in enumerate(zip(network.origins, server.requests, strict=False))
    ]
    return Played(
        [as_recorded(request) for request in requests],
        outcomes,
        sleeps,
        stage.processes,
        stage.host_calls,
        stage.files,
    )


class _Network:
    """The network in memory, with hosts that refuse; it notes the origin of each connection, of which each carries one request."""

    def __init__(self, inner: MemoryNetwork, refused: Sequence[str]) -> None:
        self.origins: list[Origin] = []
        self._inner = inner
        self._refused = refused

    async def connect(self, origin: Origin) -> Connection:
        name = f"{origin.scheme}://{origin.host}:{origin.port}"
        if any(host in name for host in self._refused):
            raise ConnectError(f"{origin} refuses connections")
        connection = await self._inner.connect(origin)
        self.origins.append(origin)
        return connection


def _scripted(response: Mapping[str, Any], cut: Cut) -> ScriptedExchange:
    """A recorded answer as the bytes of HTTP/1.1: one write for the head, one for each piece of the body, then the end."""
    if response["ends"] == "no_response":
        return ScriptedExchange([End()])
    status: int = response["status"]
    phrase = response.get("status_text") or _phrase(status)
    headers = [*map(tuple[str, str], response["headers"]), ("Connection", "close")]
    has_body = status not in (204, 304)
    if has_body:
        headers.append(("Transfer-Encoding", "chunked"))
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers), "", ""]
    writes: list[bytes | End] = ["\r\n".join(lines).encode("latin-1")]
    if has_body:
        pieces = cut([_bytes(chunk) for chunk in response["body_chunks"]])
        writes.extend(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece)
    if response["ends"] == "normal":
        return ScriptedExchange([*writes, *([b"0\r\n\r\n"] if has_body else []), End()])
    return ScriptedExchange([*writes, End("reset")])


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _bytes(recorded: Any) -> bytes:
    return recorded.encode() if isinstance(recorded, str) else base64.b64decode(recorded["b64"])


def _seen(origin: Origin, raw: bytes, said: Sequence[str]) -> SeenRequest:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    fields = (line.partition(":") for line in lines)
    headers = tuple((name.lower(), value.strip()) for name, _, value in fields)
    url = f"{origin}{target}"
    if ("upgrade", "websocket") in headers:
        url = url.replace("http", "ws", 1)
    return SeenRequest(method, url, headers, body, messages=tuple(said))


async def _calls(recording: Recording, transport: Transport, around: Surroundings) -> list[Outcome]:
    calls: list[Mapping[str, Any]] = recording.get("calls") or [recording["call"]]
    provider: ReferenceProvider | None = None
    outcomes: list[Outcome] = []
    for call in calls:
        outcome = Outcome([])
        try:
            if provider is None and call["kind"] != "getModels":
                provider = ReferenceProvider(
                    recording["provider"],
                    recording["options"],
                    env=recording.get("env"),
                    count_text=o200k_counter(),
                )
            if call["kind"] == "getModel" and provider is not None:
                outcome.returns = provider.get_model()
            else:
                conversation = _conversation(provider, call)
                outcome.returns = await drive(conversation, transport, around, emit=outcome.yields.append)
        except TercetError as error:
            outcome.error = marked_error(error)
        outcomes.append(outcome)
    return outcomes


def _conversation(provider: ReferenceProvider | None, call: Mapping[str, Any]) -> Conversation[Any]:
    args = call.get("args", ())
    match call["kind"], call.get("fn"), provider:
        case "getModels", "getOpenAiModels", _:
            return get_openai_models(*args, identity=IDENTITY)
        case "getModels", "getLmStudioModels", _:
            return get_lm_studio_ids(*args)
        case "getModels", "getVsCodeLmModels", _:
            return vscode_models()
        case "getModels", "getModelEndpoints", _:
            return get_model_endpoints(*args)
        case "getModels", _, _:
            return get_models(*args)
        case "createMessage", _, ReferenceProvider():
            return provider.create_message(call["system"], call["messages"], call.get("metadata"))
        case "completePrompt", _, ReferenceProvider():
            return provider.complete_prompt(call["prompt"])
        case "countTokens", _, ReferenceProvider():
            return provider.count_tokens(*args)
        case "generateImage", _, ReferenceProvider():
            return provider.generate_image(*args)
        case kind, _, _:
            raise ConfigurationError(f"the reference face has no operation {kind!r}")


def _as_recorded(chunks: Sequence[bytes]) -> Sequence[bytes]:
    return chunks


def _every(size: int, chunks: Sequence[bytes]) -> Sequence[bytes]:
    whole = b"".join(chunks)
    return [whole[place : place + size] for place in range(0, len(whole), size)]


def _at_random(seed: str, chunks: Sequence[bytes]) -> Sequence[bytes]:
    chance = random.Random(seed)
    whole = b"".join(chunks)
    places = sorted({0, *(chance.randrange(len(whole)) for _ in range(min(len(whole), 40)))})
    return [whole[start:end] for start, end in zip(places, [*places[1:], len(whole)], strict=True)]


def _cuts(name: str) -> Iterator[tuple[str, Cut]]:
    yield "", _as_recorded
    yield "cut after every byte: ", functools.partial(_every, 1)
    yield "cut after seven bytes: ", functools.partial(_every, 7)
    yield "cut at random: ", functools.partial(_at_random, name)
