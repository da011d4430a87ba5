"""The reference's Claude Code handler: Anthropic's command-line program, run once for each message.

The messages go to its stdin, the system prompt among its arguments (on Windows, whose arguments are short, to its stdin too). It answers with
JSON, a line each; a line that is not JSON yet is continued by the next. An answer without a ``result`` at its end is an error.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tercet.codecs.vocabulary import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConnectError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProtocolError,
    ProviderError,
    RateLimitError,
    ServerError,
)

from . import facts
from .actions import Chunk, Conversation, Emit, Exit, Exited, Read, RunProcess
from .errors import interrupted, reworded
from .family import Family
from .messages import Message
from .values import get, items_of, parse_json, stringify, text_of

__all__ = ["ClaudeCodeFamily"]

_DISALLOWED = (
    "Task,Bash,Glob,Grep,LS,exit_plan_mode,Read,Edit,MultiEdit,Write,NotebookRead,NotebookEdit,WebFetch,TodoRead,TodoWrite,"
    "WebSearch,ExitPlanMode,BashOutput,KillBash"
)
_MAX_LINE = 16 * 1024 * 1024
_MAX_SHOWN = 64 * 1024
_DATE = re.compile(r"-(\d{8})$")
_PLAIN_ARGUMENT = re.compile(r"[A-Za-z0-9_./-]+")
_ESCAPES = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_OTHER_PLAN = "API keys and subscription plans allow different models. Make sure the selected model is included in your plan."
_KINDS: dict[str, type[ProviderError]] = {
    "authentication_error": AuthenticationError,
    "invalid_request_error": BadRequestError,
    "not_found_error": NotFoundError,
    "overloaded_error": OverloadedError,
    "permission_error": PermissionDeniedError,
    "rate_limit_error": RateLimitError,
    "api_error": ServerError,
}


class ClaudeCodeFamily(Family):
    """``create_message`` and ``get_model`` of the reference's ``ClaudeCodeHandler``."""

    def get_model(self) -> dict[str, Any]:
        """``{id, info}``; the most tokens are the setting's."""
        known = facts.models("claude-code")
        model_id = self.options.get("apiModelId")
        if model_id not in known:
            model_id = facts.default_model("claude-code")
        most = self.options.get("claudeCodeMaxOutputTokens") or self._default_most()
        return {"id": model_id, "info": {**known[model_id], "maxTokens": most}}

    def create_message(
        self, system: str, messages: Sequence[Message], metadata: Mapping[str, Any] | None = None
    ) -> Conversation[None]:
        """Text and reasoning chunks, one for each block of an answer, then usage. Pictures are named, not sent."""
        program = self.options.get("claudeCodePath") or "claude"
        wanted = self._command(program, system, messages)
        try:
            yield wanted
        except ConnectError as error:
            if error.code != "ENOENT":
                raise
            raise reworded(error, _not_found(program)) from error
        yield from _Output(wanted.argv).run()

    def complete_prompt(self, prompt: str) -> Conversation[str]:
        """The reference has no single prompts here. Raises ``ConfigurationError``."""
        raise ConfigurationError("the reference has no single prompts with claude-code")

    def _command(self, program: str, system: str, messages: Sequence[Message]) -> RunProcess:
        is_windows = self.env.get("OS") == "Windows_NT"  # Windows sets it, nothing else does
        spoken = [_without_pictures(message) for message in messages]
        model_id: str = self.get_model()["id"]
        if self.env.get("CLAUDE_CODE_USE_VERTEX") == "1":
            model_id = _DATE.sub(r"@\1", model_id)
        most = (
            self.options.get("claudeCodeMaxOutputTokens")
            or self.env.get("CLAUDE_CODE_MAX_OUTPUT_TOKENS")
            or self._default_most()
        )
        argv = (
            program,
            "-p",
            *(() if is_windows else ("--system-prompt", system)),
            "--verbose",
            "--output-format",
            "stream-json",
            "--disallowedTools",
            _DISALLOWED,
            "--max-turns",
            "1",
            "--model",
            model_id,
        )
        stdin: Any = {"systemPrompt": system, "messages": spoken} if is_windows else spoken
        env = {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": text_of(most)}
        return RunProcess(argv, stringify(stdin).encode(), env)

    @staticmethod
    def _default_most() -> int:
        return int(facts.constant("claude-code", "CLAUDE_CODE_DEFAULT_MAX_OUTPUT_TOKENS"))


def _without_pictures(message: Message) -> dict[str, Any]:
    content: Any = message["content"]
    if isinstance(content, str):
        return dict(message)
    return {**message, "content": [_named(block) for block in content]}


def _named(block: Mapping[str, Any]) -> Mapping[str, Any]:
    if block["type"] != "image":
        return block
    kind = get(block, "source", "type") or "unknown"
    media = get(block, "source", "media_type") or "unknown"
    return {"type": "text", "text": f"[Image ({kind}): {media} not supported by Claude Code]"}


class _Output:
    """What one run of the program says."""

    def __init__(self, argv: tuple[str, ...]) -> None:
        self._argv = argv
        self._said = bytearray()  # the beginning of it all, for the text of a failure
        self._line = bytearray()  # of the line that has not ended
        self._part = ""  # of the JSON text that has not ended
        self._counts = [0, 0, 0, 0]
        self._is_paid = True
        self._is_finished = False

    def run(self) -> Conversation[None]:
        while data := (yield Read()):
            self._said += data[: _MAX_SHOWN - len(self._said)]
            for line in self._lines(data):
                for chunk in self._chunks(line):
                    yield Emit(chunk)
        for chunk in self._chunks(bytes(self._line)):
            yield Emit(chunk)
        if self._part.startswith('{"type":"assistant"'):
            yield Emit({"type": "text", "text": self._part})
        ended: Exited = yield Exit()
        if ended.code:
            raise ProviderError(self._failure(ended), code=f"exit {ended.code}")
        if not self._is_finished:
            raise interrupted("result")

    def _lines(self, data: bytes) -> Iterator[bytes]:
        *ended, rest = data.split(b"\n")
        for piece in ended:
            yield bytes(self._line) + piece
            self._line.clear()
        self._line += rest
        if len(self._line) + len(self._part) > _MAX_LINE:
            raise ProtocolError(f"the program wrote a line of more than {_MAX_LINE} bytes")

    def _chunks(self, line: bytes) -> list[Chunk]:
        text = line.decode("utf-8", "replace").removesuffix("\r")
        if not text.strip():
            return []
        self._part += text
        try:
            event = parse_json(self._part)
        except ValueError:
            return []
        self._part = ""
        match get(event, "type"):
            case "system":
                if get(event, "subtype") == "init":
                    self._is_paid = get(event, "apiKeySource") != "none"
                return []
            case "assistant":
                return self._spoken(get(event, "message"))
            case "result":
                return self._usage(event)
            case _:
                return []

    def _spoken(self, message: Any) -> list[Chunk]:
        blocks = items_of(get(message, "content"))
        if get(message, "stop_reason") is not None:
            _check_for_error(text_of(get(blocks, 0, "text") or ""))
        names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        counts = [_count(get(message, "usage", name)) for name in names]
        self._counts = [a + b for a, b in zip(self._counts, counts, strict=True)]
        return [chunk for block in blocks for chunk in _block_chunks(block)]

    def _usage(self, event: Any) -> list[Chunk]:
        self._is_finished = True
        if get(event, "result") is None:
            return []
        input_, output, reads, writes = self._counts
        return [
            {
                "type": "usage",
                "inputTokens": input_,
                "outputTokens": output,
                "cacheReadTokens": reads,
                "cacheWriteTokens": writes,
                "totalCost": (get(event, "total_cost_usd") or 0) if self._is_paid else 0,
            }
        ]

    def _failure(self, ended: Exited) -> str:
        """As execa 9 words it: the command, then what it wrote."""
        command = " ".join(map(_quoted, self._argv))
        written = (
            bytes(part).decode("utf-8", "replace").removesuffix("\n") for part in (ended.stderr, self._said)
        )
        return "\n\n".join(
            (f"Command failed with exit code {ended.code}: {command}", *(text for text in written if text))
        )


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _block_chunks(block: Any) -> list[Chunk]:
    match get(block, "type"):
        case "text":
            return [{"type": "text", "text": text_of(get(block, "text") or "")}]
        case "thinking":
            return [{"type": "reasoning", "text": text_of(get(block, "thinking") or "")}]
        case "redacted_thinking":
            return [{"type": "reasoning", "text": "[Redacted thinking block]"}]
        case _:
            return []


def _check_for_error(text: str) -> None:
    """The program says a failure of the API as a text: ``API Error: 401 {...}``."""
    if not text.startswith("API Error"):
        return
    said = text[text.find("{") :] if "{" in text else ""
    try:
        error = get(parse_json(said), "error")
    except ValueError:
        raise ProviderError(text) from None
    kind = get(error, "type")
    if "Invalid model name" in text_of(get(error, "message")):
        raise NotFoundError(f"{text}\n\n{_OTHER_PLAN}", code=kind, body=said)
    raise _KINDS.get(kind, ProviderError)(said, code=kind, body=said)


def _not_found(program: str) -> str:
    return (
        f"Claude Code executable '{program}' not found.\n\n"
        "Please install Claude Code CLI:\n"
        "1. Visit https://docs.anthropic.com/en/docs/claude-code/setup to download Claude Code\n"
        "2. Follow the installation instructions for your operating system\n"
        "3. Ensure the 'claude' command is available in your PATH\n"
        "4. Alternatively, configure a custom path in Roo settings under 'Claude Code Path'\n\n"
        f"Original error: spawn {program} ENOENT"
    )


def _quoted(argument: str) -> str:
    shown = "".join(map(_shown, argument))
    if _PLAIN_ARGUMENT.fullmatch(shown):
        return shown
    return "'" + shown.replace("'", "'\\''") + "'"


def _shown(character: str) -> str:
    """Separators and control characters as escapes, but for the space."""
    if character == " " or unicodedata.category(character)[0] not in "ZC":
        return character
    code = ord(character)
    return _ESCAPES.get(character) or (f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:x}")
