"""The machine on which a recording is played: its files, the program it runs, the editor it asks; and what its placeholders stand for.

A recording has placeholders where the recorded value was secret or by chance. Playing takes real values in their place, made up here; what is
sent is turned back, so that it can be compared with what was recorded. The signature of a token is checked on the way.
"""

from __future__ import annotations

import base64
import functools
import importlib
import importlib.util
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgspec

from tercet.adapters.reference import Exited, RunProcess
from tercet.adapters.reference.comparison import Recording, SeenProcess, SeenRequest
from tercet.codecs.vocabulary import ConnectError, ProviderError, TercetError

__all__ = ["ScriptedProgram", "Stage", "as_recorded", "marked_error", "played_recording"]

Cut = Callable[[Sequence[bytes]], Sequence[bytes]]

_VALUES = {
    "<HOME>": "/home/somebody",
    "<gemini-cli-oauth-client-id>": "gemini-cli-client.example",
    "<gemini-cli-oauth-client-secret>": "gemini-cli-client-secret",
}
_KEY = "<rsa-private-key>"
_ENV = {
    "gemini-cli": {
        "GEMINI_CLI_OAUTH_CLIENT_ID": "<gemini-cli-oauth-client-id>",
        "GEMINI_CLI_OAUTH_CLIENT_SECRET": "<gemini-cli-oauth-client-secret>",
    }
}
_ASSERTION = re.compile(rb"assertion=([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_CHARACTERS_A_TOKEN = 4  # of the recorded editor


def played_recording(recording: Recording) -> Recording:
    """The recording with values for its placeholders in what the provider is made of."""
    env = {**_ENV.get(recording["provider"], {}), **recording.get("env", {})}
    return {**recording, "options": _filled(recording.get("options", {})), "env": _filled(env)}


def as_recorded(request: SeenRequest) -> SeenRequest:
    """A request with placeholders where a recording has them, its token taken apart once its signature was found to be right."""
    jwt = None
    body = request.body
    found = _ASSERTION.search(body)
    if found is not None and _is_signed(found.group(1) + b"." + found.group(2), _base64(found[3])):
        jwt = {"header": json.loads(_base64(found[1])), "claims": json.loads(_base64(found[2]))}
        body = body.replace(found.group(), b"assertion=<jwt>")
    for mark, real in _VALUES.items():
        body = body.replace(real.encode(), mark.encode())
    return msgspec.structs.replace(request, body=body, jwt=jwt)


class Stage:
    """Files, one program and an editor, as the recording says they were; and what was asked of them."""

    def __init__(self, recording: Recording, cut: Cut) -> None:
        self.files: dict[str, str] = dict(recording.get("files", {}))
        self.processes: list[SeenProcess] = []
        self.host_calls: list[Any] = []
        self._recording = recording
        self._cut = cut
        editor: Mapping[str, Any] = recording.get("vscode_lm", {})
        self._models: list[Any] = editor.get("models", [])
        self._replies = iter(editor.get("replies", ()))
        self._parts = iter(cast("list[Mapping[str, Any]]", []))

    async def read_file(self, path: str) -> str:
        """A file under the home folder."""
        name = path.removeprefix("~/")
        if name not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return self.files[name]

    async def write_file(self, path: str, text: str) -> None:
        """Puts a file there."""
        self.files[path.removeprefix("~/")] = text

    async def start(self, wanted: RunProcess) -> ScriptedProgram:
        """The recorded program; ``ENOENT`` where the recording has none."""
        if "process" not in self._recording:
            raise ConnectError(f"there is no {wanted.argv[0]}", phase="process", code="ENOENT")
        env = {**self._recording.get("env", {}), **wanted.env}
        self.processes.append(
            SeenProcess(wanted.argv[1:], wanted.stdin.decode("utf-8", "surrogatepass"), env)
        )
        return ScriptedProgram(self._recording["process"]["response"], self._cut)

    async def call(self, call: Mapping[str, Any], /) -> Any:
        """What the recorded editor answered: models, a count of tokens, or the start of a reply."""
        self.host_calls.append(call)
        match call:
            case {"select": _}:
                return self._models
            case {"countTokens": str(text)}:
                return math.ceil(len(text.encode("utf-16-le", "surrogatepass")) / 2 / _CHARACTERS_A_TOKEN)
            case _:
                reply = next(self._replies)
                if "send_error" in reply:
                    raise ProviderError(reply["send_error"])
                self._parts = iter(reply["parts"])
                return None

    async def next_part(self) -> Mapping[str, Any] | None:
        """The next part of the recorded reply."""
        part = next(self._parts, None)
        match part:
            case {"cancel": True}:
                raise ProviderError("Canceled", code="cancelled")
            case {"throw_object": thrown}:
                raise ProviderError("", code="object", body=json.dumps(thrown))
            case _:
                return part


class ScriptedProgram:
    """A program that says what was recorded."""

    def __init__(self, response: Mapping[str, Any], cut: Cut) -> None:
        self._response = response
        self._output = iter(cut([text.encode() for text in response["stdout_chunks"]]))

    async def receive(self) -> bytes:
        """The next piece of its output."""
        return next((piece for piece in self._output if piece), b"")

    async def wait(self) -> Exited:
        """How it was recorded to end."""
        return Exited(self._response["exit_code"], self._response["stderr"].encode())

    def close(self) -> None:
        """Nothing runs."""

    async def aclose(self) -> None:
        """Nothing runs."""


def marked_error(error: TercetError) -> TercetError:
    """The error, its text with the recording's placeholders."""
    for mark, real in _VALUES.items():
        error.message = error.message.replace(real, mark)
    return error


def _filled(value: Any) -> Any:
    if isinstance(value, str):
        for mark, real in _VALUES.items():
            value = value.replace(mark, real)
        return value.replace(_KEY, json.dumps(_private_key())[1:-1]) if _KEY in value else value
    if isinstance(value, Mapping):
        return {name: _filled(item) for name, item in cast("Mapping[str, Any]", value).items()}
    return value


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64decode(data + b"=" * (-len(data) % 4))


@functools.cache
def _key() -> Any:
    """A key of its own for each run of the program; None where nothing can make one."""
    if importlib.util.find_spec("cryptography") is None:
        return None
    rsa: Any = importlib.import_module("cryptography.hazmat.primitives.asymmetric.rsa")
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _private_key() -> str:
    if _key() is None:
        return ""
    pem: Any = importlib.import_module("cryptography.hazmat.primitives.serialization")
    data: bytes = _key().private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    return data.decode()


def _is_signed(data: bytes, signature: bytes) -> bool:
    failures: Any = importlib.import_module("cryptography.exceptions")
    hashes: Any = importlib.import_module("cryptography.hazmat.primitives.hashes")
    padding: Any = importlib.import_module("cryptography.hazmat.primitives.asymmetric.padding")
    try:
        _key().public_key().verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    except failures.InvalidSignature:
        return False
    return True
