"""Chunks of a chat completion to tokens.

A chunk is ``{id, model, choices: [{index, delta, finish_reason}], usage}``; a whole answer is the same with ``message`` for
``delta``, and goes through the same interpreter. The order of a stream is: deltas, a chunk with the finish reason, often a chunk
with usage and no choices, ``[DONE]``. The token ``Finish`` is given with ``[DONE]``, so that usage comes before it.

Complete is a stream with a finish reason *and* ``[DONE]``; where that is missing, one with a finish reason, usage and the clean end of
the bytes, and where the dialect says that the service may leave it out, one with a finish reason and that end. ``[DONE]`` alone proves
nothing: proxies write it whatever happened behind them.
"""

from __future__ import annotations

from typing import Any, NoReturn, cast

import msgspec

from ..vocabulary import (
    Finish,
    OpaqueDelta,
    OverloadedError,
    ProtocolError,
    ProviderError,
    ReasoningDelta,
    ServerError,
    StreamInterruptedError,
    StreamToken,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from .openai_chat_extras import annotation, citations, content_runs, details_text, merged_details, usage_of
from .openai_dialect import Dialect
from .openai_errors import error_from_payload
from .shared import as_object, encode_json, finish_reason
from .surrogates import SurrogateJoiner, decode_lenient, whole_text
from .think import ThinkSplitter

__all__ = ["ChatInterpreter"]

_ABSENT = msgspec.Raw()
_NOTHING = (b"", b"null", b"[]")
_MOST_KEPT_BYTES = 64 * 1024 * 1024  # images are the large ones

# A finish reason that is no end but a failure: OpenRouter and Mistral; DeepSeek; Z.ai (their pages, 2026-11).
_FAILURES: dict[str, type[ProviderError]] = {
    "error": ServerError,
    "insufficient_system_resource": OverloadedError,
    "network_error": ServerError,
}


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: Any = None  # text; some servers give an object


class _Call(msgspec.Struct, gc=False):
    index: Any = None
    id: Any = None
    function: _Function | None = None
    extra_content: msgspec.Raw = _ABSENT


class _Delta(msgspec.Struct, gc=False):
    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    function_call: _Function | None = None
    reasoning_details: msgspec.Raw = _ABSENT
    thinking_blocks: msgspec.Raw = _ABSENT
    images: msgspec.Raw = _ABSENT


class _Choice(msgspec.Struct, gc=False):
    index: int | None = 0
    delta: _Delta | None = None
    finish_reason: str | None = None
    usage: Any = None
    stop_reason: Any = None
    matched_stop: Any = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: Any = None
    id: Any = None
    model: Any = None
    error: Any = None
    x_groq: Any = None
    citations: msgspec.Raw = _ABSENT
    search_results: msgspec.Raw = _ABSENT


class _WholeChoice(_Choice, gc=False):
    delta: _Delta | None = msgspec.field(default=None, name="message")


class _Whole(_Chunk, gc=False):
    choices: list[_WholeChoice] | None = None  # type: ignore[assignment]  # read only: a list of a kind of choice


_CHUNK = msgspec.json.Decoder(_Chunk)
_WHOLE = cast("msgspec.json.Decoder[_Chunk]", msgspec.json.Decoder(_Whole))  # a _Whole is a _Chunk
_ANY = msgspec.json.Decoder()
_NO_CHOICE = _Choice()


class _OpenCall:
    __slots__ = ("arguments", "id", "is_named", "number")

    def __init__(self, number: int, call_id: str | None) -> None:
        self.number = number
        self.id = call_id
        self.is_named = False
        self.arguments = SurrogateJoiner()


class ChatInterpreter:
    """The chunks of one answer to tokens (see :class:`~tercet.codecs.wire.base.Interpreter`); of a whole answer, if ``whole``.

    The common event, 322 bytes with one piece of content, costs 0.67 us, of it 0.35 us the decode (``timeit``, best of 7 times
    50,000, CPython 3.11, one core of a shared machine). So the common path is spelled out in ``interpret``; what is rare stands
    behind one check each.
    """

    __slots__ = (
        "_calls",
        "_calls_by_id",
        "_calls_by_index",
        "_decoder",
        "_dialect",
        "_has_blank_finish",
        "_has_plain_reasoning",
        "_has_refused",
        "_id",
        "_kept",
        "_kept_bytes",
        "_model",
        "_origin",
        "_raw",
        "_sources",
        "_stop",
        "_text",
        "_think",
        "_thoughts",
        "_usage",
        "is_complete",
    )

    def __init__(self, dialect: Dialect, origin: str, *, whole: bool = False) -> None:
        self.is_complete: bool = False
        self._decoder = _WHOLE if whole else _CHUNK
        self._dialect = dialect
        self._origin = origin
        self._text = SurrogateJoiner()
        self._thoughts = SurrogateJoiner()
        self._think = ThinkSplitter() if dialect.think_tags else None
        self._calls: list[_OpenCall] = []
        self._calls_by_index: dict[int, _OpenCall] = {}
        self._calls_by_id: dict[str, _OpenCall] = {}
        self._raw: str | None = None
        self._has_blank_finish = False
        self._has_plain_reasoning = False
        self._has_refused = False
        self._stop: str | None = None
        self._id: str | None = None
        self._model: str | None = None
        self._usage: Usage | None = None
        self._sources: dict[str, bytes] = {}
        self._kept: dict[str, list[bytes]] = {}
        self._kept_bytes = 0

    def interpret(self, name: str, data: bytes | memoryview, into: list[StreamToken], /) -> None:
        """Append the tokens of one event. Raises the error that an ``error`` object stands for, and :class:`ProtocolError`."""
        if self.is_complete:
            return
        try:
            chunk = self._decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            word = bytes(data[:64]).strip()
            if word == b"[DONE]":
                self._done(into)
                return
            if not word and not bytes(data).strip():
                return
            chunk = decode_lenient(self._decoder, data)
        if chunk.error:
            self._fail(data)
        choices = chunk.choices
        if not choices:
            if choices is None and chunk.usage is None:
                self._look_for_error(name, data)
            choice = _NO_CHOICE
        else:
            choice = choices[0]
            if choice.index:  # of several choices, which nobody asked for here, the first is the answer
                choice = next((other for other in choices if not other.index), _NO_CHOICE)
        delta = choice.delta
        if delta is not None:
            if delta.reasoning_content or delta.reasoning or delta.reasoning_details is not _ABSENT:
                self._reason(delta, into)
            content = delta.content
            if content:
                if type(content) is str and self._think is None:
                    text = self._text.join(content)
                    if text:
                        into.append(TextDelta(text))
                else:
                    self._say(content, into)
            if delta.tool_calls:
                for call in delta.tool_calls:
                    self._call(call, into)
            if delta.refusal:
                self._has_refused = True
                self._say(delta.refusal, into)
            if delta.annotations:
                into.extend(token for token in map(annotation, delta.annotations) if token is not None)
            if delta.function_call is not None:  # the form of 2023, still spoken by small servers
                self._call(_Call(0, None, delta.function_call), into)
            if delta.thinking_blocks is not _ABSENT or delta.images is not _ABSENT:
                self._keep("thinking_blocks", delta.thinking_blocks)
                self._keep("images", delta.images)
        if chunk.citations is not _ABSENT or chunk.search_results is not _ABSENT:
            self._note_sources("citations", chunk.citations)
            self._note_sources("search_results", chunk.search_results)
        usage = chunk.usage or choice.usage  # Moonshot: in the choice
        if usage or chunk.x_groq is not None:
            self._report(usage, as_object(chunk.x_groq), into)
        if choice.finish_reason is not None:
            self._note_finish(chunk, choice, data)

    def finish(self, into: list[StreamToken], /) -> None:
        """The bytes have ended. Raises :class:`StreamInterruptedError` unless what came is a whole answer."""
        if self.is_complete:
            return
        # usage is the last thing in front of [DONE]: with a finish reason and it, nothing of the answer is missing
        if (self._dialect.done_marker == "optional" or self._usage is not None) and self._settle():
            self._complete(into)
            return
        self._flush(into)
        into.extend(citations(self._sources))
        last = "no finish reason" if self._raw is None else "a finish reason, but no [DONE]"
        raise StreamInterruptedError(f"the stream ended early: there was {last}")

    def finish_whole(self, into: list[StreamToken], /) -> None:
        """The answer was not streamed and all of it was given. Raises :class:`ProtocolError` if it names no finish reason."""
        if not self._settle():
            raise ProtocolError("an answer without a choice that has a finish_reason")
        self._complete(into)

    # The end ------------------------------------------------------------------------------------------------------------

    def _note_finish(self, chunk: _Chunk, choice: _Choice, data: bytes | memoryview) -> None:
        raw = choice.finish_reason
        if not raw:  # some servers say "" for null, xAI has said it for tool_calls (2025): see _settle
            self._has_blank_finish = True
            return
        failure = _FAILURES.get(raw)
        if failure is not None:
            raise failure(
                f"the provider ended the answer with finish_reason {raw!r}",
                code=raw,
                body=bytes(data).decode("utf-8", "replace"),
            )
        self._raw = whole_text(raw)
        self._id = whole_text(chunk.id) if isinstance(chunk.id, str) else None
        self._model = whole_text(chunk.model) if isinstance(chunk.model, str) else None
        for stop in (
            choice.stop_reason,
            choice.matched_stop,
        ):  # vLLM, SGLang: the stop sequence, or a token's number
            if isinstance(stop, str) and finish_reason(stop) == "other":
                self._stop = whole_text(stop)

    def _settle(self) -> bool:
        """Whether a finish reason was given. A blank one counts where there are tool calls and no other."""
        if self._raw is None and self._has_blank_finish and self._calls:
            self._raw = ""
        return self._raw is not None

    def _done(self, into: list[StreamToken]) -> None:
        if self._settle():
            self._complete(into)

    def _complete(self, into: list[StreamToken]) -> None:
        raw = self._raw or ""
        reason = finish_reason(raw) if raw else "tool_calls"
        if reason == "stop" and self._has_refused:
            reason = "content_filter"
        elif reason == "stop" and self._calls:  # OpenAI says "stop" when a named tool was forced
            reason = "tool_calls"
        self._flush(into)
        into.extend(citations(self._sources))
        into.extend(
            OpaqueDelta(self._origin, kind, merged_details(pieces)) for kind, pieces in self._kept.items()
        )
        into.append(Finish(reason, raw, self._stop, self._id, self._model))
        self.is_complete = True

    def _flush(self, into: list[StreamToken]) -> None:
        held = self._thoughts.flush()
        if held:
            into.append(ReasoningDelta(held))
        if self._think is not None:
            self._runs(self._think.flush(), into)
        held = self._text.flush()
        if held:
            into.append(TextDelta(held))
        for call in self._calls:
            held = call.arguments.flush()
            if held:
                into.append(ToolCallDelta(call.number, arguments=held))

    # What is said -------------------------------------------------------------------------------------------------------

    def _say(self, content: str | list[Any], into: list[StreamToken]) -> None:
        if isinstance(content, str):
            text = self._text.join(content)
            self._runs([(False, text)] if self._think is None else self._think.split(text), into)
            return
        for run in content_runs(content, self._origin):  # Mistral
            if isinstance(run, str):
                self._say(run, into)
            elif isinstance(run, ReasoningDelta):
                text = self._thoughts.join(run.text)
                if text or run.signature:
                    into.append(ReasoningDelta(text, signature=run.signature, origin=run.origin))
            else:
                into.append(run)

    def _runs(self, runs: list[tuple[bool, str]], into: list[StreamToken]) -> None:
        for is_reasoning, text in runs:
            if text:
                into.append(ReasoningDelta(text) if is_reasoning else TextDelta(text))

    def _reason(self, delta: _Delta, into: list[StreamToken]) -> None:
        text = ""
        for field in self._dialect.reasoning_fields:
            text = text or getattr(delta, field) or ""
        if text:
            self._has_plain_reasoning = True
        if delta.reasoning_details is not _ABSENT:
            self._keep("reasoning_details", delta.reasoning_details)
            if not self._has_plain_reasoning:  # `reasoning` says the same, where there is one
                text = details_text(bytes(delta.reasoning_details))
        text = self._thoughts.join(text)
        if text:
            into.append(ReasoningDelta(text))

    def _keep(self, kind: str, raw: msgspec.Raw) -> None:
        piece = bytes(raw)
        if piece in _NOTHING:
            return
        self._kept_bytes += len(piece)
        if self._kept_bytes > _MOST_KEPT_BYTES:
            raise ProtocolError(f"the answer has more than {_MOST_KEPT_BYTES} bytes of {kind}")
        self._kept.setdefault(kind, []).append(piece)

    def _note_sources(self, field: str, raw: msgspec.Raw) -> None:
        piece = bytes(raw)
        if piece not in _NOTHING:
            self._sources[field] = piece  # the list so far: the last one is whole

    def _call(self, entry: _Call, into: list[StreamToken]) -> None:
        """One entry of ``tool_calls``.

        The index says which call it continues. Without an index (Mistral) the id does; with neither, it goes on with the last
        call, unless it names a function. Some servers give every call index 0: another id *and* a name begin another call.
        """
        function = entry.function or _Function()
        index = entry.index if isinstance(entry.index, int) else None
        call_id = whole_text(entry.id) if isinstance(entry.id, str) and entry.id else None
        call: _OpenCall | None = None
        if index is not None:
            call = self._calls_by_index.get(index)
            if call is not None and function.name and call_id and call.id and call.id != call_id:
                call = None
        elif call_id is not None:
            call = self._calls_by_id.get(call_id)
        elif not function.name and self._calls:
            call = self._calls[-1]
        is_new = call is None
        if call is None:
            if call_id in self._calls_by_id:  # two calls of one id: their results could not be told apart
                call_id = f"{call_id}_{len(self._calls)}"
            call = _OpenCall(len(self._calls), call_id)
            self._calls.append(call)
            if index is not None:
                self._calls_by_index[index] = call
        shown_id = (call_id or f"call_{call.number}") if is_new else None
        if call_id is not None:
            self._calls_by_id[call_id] = call
            if call.id is None:  # it came late; the made-up one is replaced
                call.id = shown_id = call_id
        name = whole_text(function.name) if function.name and not call.is_named else None
        call.is_named = call.is_named or name is not None
        arguments = function.arguments
        if arguments is None:
            arguments = ""
        elif not isinstance(arguments, str):
            arguments = encode_json(arguments).decode()
        arguments = call.arguments.join(arguments)
        signature = None
        if (
            entry.extra_content is not _ABSENT and bytes(entry.extra_content) != b"null"
        ):  # Gemini's thought signatures
            signature = bytes(entry.extra_content).decode("utf-8", "replace")
        if is_new or shown_id or name or arguments or signature:
            origin = self._origin if signature else None
            into.append(ToolCallDelta(call.number, shown_id, name, arguments, signature, origin))

    def _report(self, usage: Any, x_groq: dict[str, Any], into: list[StreamToken]) -> None:
        if x_groq.get("error"):
            raise error_from_payload({"error": x_groq["error"]})
        usage = as_object(usage) or as_object(x_groq.get("usage"))
        if not usage:
            return
        report = usage_of(usage, self._dialect)
        if report != self._usage:  # xAI and SambaNova repeat it
            self._usage = report
            into.append(UsageReport(report))

    # Failures -----------------------------------------------------------------------------------------------------------

    def _look_for_error(self, name: str, data: bytes | memoryview) -> None:
        """An event without choices and usage: an error in another shape, or something to ignore (Azure's filter results)."""
        payload = as_object(decode_lenient(_ANY, data))
        is_error = name == "error" or "error" in (payload.get("object"), payload.get("type"))
        is_error = is_error or bool(
            as_object(payload.get("base_resp")).get("status_code")
        )  # MiniMax; 0 is success
        if (
            is_error
            or "detail" in payload
            or ("message" in payload and ("code" in payload or "type" in payload))
        ):
            self._fail(data)

    def _fail(self, data: bytes | memoryview) -> NoReturn:
        raise error_from_payload(decode_lenient(_ANY, data), body=bytes(data))
