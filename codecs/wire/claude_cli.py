"""The wire family ``claude_cli``: Claude Code, a program that is asked by running it once for each request.

A request becomes the arguments, the stdin and the environment of ``claude --print`` (``claude_cli_run``); the JSON lines on its stdout are read
in ``claude_cli_events``, failures in ``claude_cli_errors``. Nothing goes through a shell.

- The program is kept from acting: no tools, no settings of the user's or the project's, no MCP servers, no saved session, one turn.
- ``system`` and ``developer`` messages are the system prompt: an argument while it is short, else a file. Without any, Claude Code's own prompt
  stands.
- One user message of text is the prompt, on stdin. One with images goes as a line of ``--input-format stream-json``. A conversation goes as
  the JSON of its messages: Claude Code takes no assistant turns, and its model reads that well. Reasoning is left out of it; images are refused.
- ``max_tokens`` and ``reasoning.budget_tokens`` are variables, ``reasoning.effort`` is an option. Anything about sampling is unknown to it.
- ``ANTHROPIC_API_KEY`` is taken out of its environment, so that it uses its own login, unless the provider was given a key (then that is put
  in) or the dialect says ``keep_api_key``.

Sources: the CLI reference of Claude Code 2.1.x, and runs recorded in 2025-10.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ..framing.ndjson import NdjsonDecoder
from ..vocabulary import (
    ChatRequest,
    ChatResponse,
    File,
    Image,
    Message,
    Model,
    Opaque,
    Part,
    ProtocolError,
    Reasoning,
    ReasoningOptions,
    ServerError,
    StreamInterruptedError,
    StreamToken,
    TercetError,
    Text,
    ToolResult,
    UnsupportedError,
    fold,
)
from .anthropic_body import Dialect as AnthropicDialect, blocks
from .base import Headers, WireRequest
from .claude_cli_errors import error_of_exit
from .claude_cli_events import ClaudeCliInterpreter
from .claude_cli_run import EXEC, FileArgument, ProgramExit, ProgramRun
from .json_lines import JsonLinesDecoder
from .shared import encode_json, masked
from .surrogates import decode_lenient, whole_text

__all__ = ["ClaudeCliWire", "Dialect"]

REJECTS = (
    "temperature",
    "top_p",
    "top_k",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "verbosity",
    "service_tier",
    "user",
)
"""Fields of a request that Claude Code has no place for. Its tools are its own."""

_KEY = "ANTHROPIC_API_KEY"
_ALIASES = ("sonnet", "opus", "haiku")  # the names that its --model documents; it has no list
_EXIT = msgspec.json.Decoder(ProgramExit)
_MESSAGES_API = AnthropicDialect()


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How the program is called.

    - ``isolation``: the arguments that keep it from being an agent: it only answers.
    - ``arguments``: more of them, put last (``("--fallback-model", "sonnet")``).
    - ``env``: more variables (``CLAUDE_CODE_USE_BEDROCK``). ``keep_api_key``: leave a key that is in the environment where it is.
    - ``partial_messages``: stream the pieces of messages; versions before 1.0.86 only tell whole ones.
    - ``longest_argument``: bytes of a system prompt that goes as an argument, which every user of the machine can read; longer ones go by a
      file. 0: always by a file. Linux takes no argument longer than 128 KiB.
    - ``hint``: what to do when there is no such program.
    """

    isolation: tuple[str, ...] = (
        "--tools",
        "",
        "--setting-sources",
        "",
        "--strict-mcp-config",
        "--no-session-persistence",
        "--max-turns",
        "1",
    )
    arguments: tuple[str, ...] = ()
    env: dict[str, str] = {}
    keep_api_key: bool = False
    partial_messages: bool = True
    longest_argument: int = 16 * 1024
    hint: str = (
        "Install Claude Code (npm install -g @anthropic-ai/claude-code), or say where it is: "
        "base_urls={'claude-code': 'exec:///path/to/claude'}"
    )


class ClaudeCliWire:
    """See :class:`tercet.codecs.wire.base.Wire`. Immutable; one serves any number of runs at once."""

    name = "claude_cli"
    rejects = REJECTS

    def __init__(self, dialect: Dialect = Dialect()) -> None:  # noqa: B008  # frozen: one for all is safe
        self.dialect = dialect

    def chat(self, request: ChatRequest, /, *, stream: bool) -> WireRequest:
        """The run that asks. Raises :class:`UnsupportedError`, naming field and value, for what Claude Code cannot be told."""
        for field in REJECTS:
            if getattr(request, field) not in (None, ()):
                raise _unsupported(field, getattr(request, field))
        if request.extra:
            raise _unsupported("extra", dict(request.extra), "give arguments in the provider's dialect")
        dialect = self.dialect
        arguments: list[str | FileArgument] = ["--print", "--output-format", "stream-json", "--verbose"]
        if stream and dialect.partial_messages:
            arguments.append("--include-partial-messages")
        arguments += [*dialect.isolation, "--model", request.model]
        system, turns = _parted(request.turns)
        if system:
            arguments += self._system_prompt(system)
        env = dict(dialect.env)
        if request.max_tokens is not None:
            env["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] = str(request.max_tokens)
        if request.reasoning is not None:
            _think(request.reasoning, arguments, env)
        stdin, is_lines = _prompt(turns)
        if is_lines:
            arguments += ["--input-format", "stream-json"]
        return self._run((*arguments, *dialect.arguments), stdin, env)

    def _system_prompt(self, text: str) -> list[str | FileArgument]:
        text = whole_text(text)
        if len(text.encode()) > self.dialect.longest_argument or "\0" in text:
            return ["--system-prompt-file", FileArgument(text)]
        return ["--system-prompt", text]

    def _run(
        self, arguments: Sequence[str | FileArgument], stdin: str = "", env: dict[str, str] | None = None
    ) -> WireRequest:
        # CLAUDECODE marks a session, and Claude Code does not start inside another one.
        keys = () if self.dialect.keep_api_key else (_KEY, "ANTHROPIC_AUTH_TOKEN")
        run = ProgramRun(
            tuple(arguments),
            stdin,
            env or {},
            ("CLAUDECODE", *keys),
            {"x-api-key": _KEY},
            self.dialect.hint,
        )
        return WireRequest(EXEC, "/", encode_json(run))

    def decoder(self) -> JsonLinesDecoder:
        """Lines."""
        return JsonLinesDecoder()

    def interpreter(self) -> ClaudeCliInterpreter:
        """Lines to tokens."""
        return ClaudeCliInterpreter()

    def response(self, body: bytes, /) -> ChatResponse:
        """A whole run, read by the same interpreter. Without a result it is a :class:`ProtocolError`."""
        tokens: list[StreamToken] = []
        interpreter = self.interpreter()
        decoder = NdjsonDecoder(max_line_size=len(body) + 1)
        for line in (*decoder.feed(body), *decoder.finish()):
            interpreter.interpret("", line.data, tokens)
        try:
            interpreter.finish(tokens)
        except StreamInterruptedError as error:
            raise ProtocolError(
                error.message, body=masked(body[-2000:].decode("utf-8", "replace"))
            ) from error
        return fold(tokens)

    def error(self, status: int, headers: Headers, body: bytes, /) -> TercetError:
        """The error of a program that ended before it said anything. ``body`` is the line that tells how it ended."""
        try:
            return error_of_exit(decode_lenient(_EXIT, body.strip()))
        except ProtocolError:
            text = masked(body[:300].decode("utf-8", "replace"))
            return ServerError(f"Claude Code failed: {text}", body=text)

    def list_models(self) -> WireRequest | None:
        """``claude --version``: there is no list, but it shows that the program is there and runs."""
        return self._run(("--version",))

    def models(self, body: bytes, /) -> Sequence[Model]:
        """The aliases that ``--model`` documents. Raises :class:`ProtocolError` where no version was told."""
        if not body.lstrip()[:1].isdigit():
            raise ProtocolError(
                f"claude --version told no version: {body[:200].decode('utf-8', 'replace')!r}"
            )
        return [Model(alias) for alias in _ALIASES]

    def count_tokens(self, request: ChatRequest, /) -> WireRequest | None:
        """None: it cannot count without answering."""
        return None

    def token_count(self, body: bytes, /) -> int:
        """Raises :class:`ProtocolError`: nothing was asked that could be answered so."""
        raise ProtocolError("Claude Code cannot count tokens")


def _unsupported(field: str, value: object, why: str = "") -> UnsupportedError:
    return UnsupportedError(f"Claude Code does not take {field}={value!r}{why and ': '}{why}")


def _think(options: ReasoningOptions, arguments: list[str | FileArgument], env: dict[str, str]) -> None:
    budget = options.budget_tokens
    if options.enabled is False or budget == 0 or options.effort == "none":
        env["MAX_THINKING_TOKENS"] = "0"
        return
    if budget is not None and budget > 0:
        env["MAX_THINKING_TOKENS"] = str(budget)
    if options.effort is not None:
        arguments += ["--effort", options.effort]


# The conversation -------------------------------------------------------------------------------------------------------


def _parted(turns: Sequence[Message]) -> tuple[str, list[Message]]:
    """The system prompt, and the turns of the conversation."""
    system: list[str] = []
    spoken: list[Message] = []
    for turn in turns:
        if turn.role in ("system", "developer"):
            system += [_system_text(part) for part in turn.parts]
        else:
            spoken.append(turn)
    return "\n\n".join(system), spoken


def _system_text(part: Part) -> str:
    if isinstance(part, Text):
        return part.text
    raise _unsupported("content of a system message", type(part).__name__)


def _prompt(turns: Sequence[Message]) -> tuple[str, bool]:
    """What goes to stdin, and whether it is in lines of JSON."""
    written: list[dict[str, Any]] = []
    for turn in turns:
        role = "user" if turn.role == "tool" else turn.role
        parts = [part for part in turn.parts if not isinstance(part, Reasoning | Opaque)]
        content: Any = (
            turn.text if all(isinstance(part, Text) for part in parts) else blocks(parts, role, _MESSAGES_API)
        )
        if content:
            written.append({"role": role, "content": content})
    if not written:
        raise UnsupportedError("Claude Code needs a user message with something in it; got none")
    if len(written) == 1 and written[0]["role"] == "user":
        [message] = written
        if isinstance(message["content"], str):
            return whole_text(message["content"]), False
        return encode_json({"type": "user", "message": message}).decode() + "\n", True
    for turn in turns:
        for part in turn.parts:
            inside = (
                part.content if isinstance(part, ToolResult) and not isinstance(part.content, str) else ()
            )
            for piece in (part, *inside):
                if isinstance(piece, Image | File):
                    raise _unsupported(
                        "content", type(piece).__name__, "only a request of one user message may hold it"
                    )
    return encode_json(written).decode(), False
