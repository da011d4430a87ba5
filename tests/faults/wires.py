"""What the providers of the catalogue say, as bytes: HTTP heads and chunks, and one small answer in each wire's own words."""

from __future__ import annotations

import json
from typing import Any

from tercet.codecs.framing.eventstream import encode_message

__all__ = [
    "CHUNKED",
    "ELSEWHERE",
    "END",
    "FIRST",
    "WHOLE_TEXT",
    "answer",
    "anthropic",
    "chat_event",
    "chunk",
    "content_types",
    "converse",
    "failure",
    "head",
    "openai",
    "sse",
    "whole",
]

FIRST = "Hello"
WHOLE_TEXT = "Hello w\u00f6rld \U0001f389"
ELSEWHERE = "from birch"
END = b"0\r\n\r\n"
content_types = {
    "openai_chat": "text/event-stream",
    "anthropic": "text/event-stream",
    "gemini": "text/event-stream",
    "ollama": "application/x-ndjson",
    "bedrock_converse": "application/vnd.amazon.eventstream",
}


def head(status: int = 200, *headers: str, framing: str | None = "transfer-encoding: chunked") -> bytes:
    """Status line and headers."""
    lines = [f"HTTP/1.1 {status} Said", *headers, *([framing] if framing else []), "", ""]
    return "\r\n".join(lines).encode("latin-1")


CHUNKED = head(200, "content-type: text/event-stream")


def chunk(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def whole(body: bytes | Any, status: int = 200, *headers: str) -> bytes:
    """A whole answer with its length; anything but bytes is written as JSON, and says so unless the headers do."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
        if not any(name.lower().startswith("content-type:") for name in headers):
            headers = ("content-type: application/json", *headers)
    return head(status, *headers, framing=f"content-length: {len(body)}") + body


def failure(status: int, body: Any = None, *headers: str) -> bytes:
    """An error answer in OpenAI's shape, unless ``body`` says otherwise."""
    said = (
        {"error": {"message": f"it fails with {status}", "type": None, "code": None}}
        if body is None
        else body
    )
    return whole(said, status, *headers)


def sse(*payloads: Any) -> bytes:
    """Server-sent events; what is no text is written as JSON."""
    return b"".join(
        b"data: " + (payload if isinstance(payload, str) else json.dumps(payload)).encode() + b"\n\n"
        for payload in payloads
    )


def chat_event(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of a chat completion."""
    delta = {} if content is None else {"content": content}
    return {
        "id": "r1",
        "model": "m1",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }


_USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


class openai:  # noqa: N801  # a namespace: openai.first reads like what it is
    """A chat completion, event by event."""

    first = sse(chat_event(FIRST))
    rest = sse(chat_event(" w\u00f6rld"), chat_event(" \U0001f389"))
    finish = sse(chat_event(finish="stop"))
    usage = sse({"id": "r1", "choices": [], "usage": _USAGE})
    done = sse("[DONE]")
    all = first + rest + finish + usage + done


def _typed(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (event["type"].encode(), json.dumps(event).encode()) for event in events
    )


class anthropic:  # noqa: N801  # as above
    """A message of Anthropic's, event by event."""

    start = _typed(
        {
            "type": "message_start",
            "message": {
                "id": "m1",
                "model": "m",
                "content": [],
                "usage": {"input_tokens": 3, "output_tokens": 1},
            },
        }
    )
    block = _typed({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    first = _typed(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": FIRST}}
    )
    rest = _typed(
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
            for text in (" w\u00f6rld", " \U0001f389")
        )
    )
    stop = _typed(
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    )
    end = _typed({"type": "message_stop"})
    opening = start + block
    all = opening + first + rest + stop + end

    events = staticmethod(_typed)


def gemini_event(text: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One event of Google's."""
    candidate: dict[str, Any] = {"index": 0}
    if text is not None:
        candidate["content"] = {"role": "model", "parts": [{"text": text}]}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], **more}


_COUNTS = {"promptTokenCount": 3, "candidatesTokenCount": 2}


def lines(*payloads: Any) -> bytes:
    """JSON lines."""
    return b"".join(json.dumps(payload).encode() + b"\n" for payload in payloads)


def ollama_line(content: str = "", *, done: bool = False, **more: Any) -> dict[str, Any]:
    """One line of Ollama's."""
    said = {"model": "m", "message": {"role": "assistant", "content": content}, "done": done, **more}
    return {**said, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2} if done else said


class converse:  # noqa: N801  # as above
    """An answer of Bedrock's ConverseStream, frame by frame."""

    @staticmethod
    def frame(name: str, payload: Any, kind: str = "event") -> bytes:
        """One message."""
        named = {"event": ":event-type", "exception": ":exception-type"}[kind]
        headers = {named: name, ":content-type": "application/json", ":message-type": kind}
        return encode_message(headers, json.dumps(payload).encode())

    @staticmethod
    def error(code: str, message: str) -> bytes:
        """An error that the service does not model: all that it says stands in the headers."""
        return encode_message({":error-code": code, ":error-message": message, ":message-type": "error"})

    @staticmethod
    def delta(text: str) -> bytes:
        """A piece of text."""
        return converse.frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}})


_CONVERSE_OPENING = converse.frame("messageStart", {"role": "assistant"})
_CONVERSE_END = (
    converse.frame("contentBlockStop", {"contentBlockIndex": 0})
    + converse.frame("messageStop", {"stopReason": "end_turn"})
    + converse.frame("metadata", {"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}})
)


def pieces(wire: str) -> tuple[bytes, bytes, bytes]:
    """An answer with the text ``WHOLE_TEXT`` in three pieces: up to its first token, the rest of what is said, the end."""
    match wire:
        case "openai_chat":
            return openai.first, openai.rest, openai.finish + openai.usage + openai.done
        case "anthropic":
            return anthropic.opening + anthropic.first, anthropic.rest, anthropic.stop + anthropic.end
        case "gemini":
            return (
                sse(gemini_event(FIRST)),
                sse(gemini_event(" w\u00f6rld"), gemini_event(" \U0001f389")),
                sse(gemini_event("", "STOP", usageMetadata=_COUNTS)),
            )
        case "ollama":
            return (
                lines(ollama_line(FIRST)),
                lines(ollama_line(" w\u00f6rld"), ollama_line(" \U0001f389")),
                lines(ollama_line(done=True)),
            )
        case "bedrock_converse":
            return (
                _CONVERSE_OPENING + converse.delta(FIRST),
                converse.delta(" w\u00f6rld") + converse.delta(" \U0001f389"),
                _CONVERSE_END,
            )
        case _:
            raise ValueError(wire)


def stream_head(wire: str) -> bytes:
    """The head of a streamed answer."""
    return head(200, f"content-type: {content_types[wire]}")


def answer(wire: str = "openai_chat", text: str = WHOLE_TEXT) -> tuple[bytes, ...]:
    """The play of a good streamed answer; its text can be another one for ``openai_chat`` only."""
    body = b"".join(pieces(wire))
    if text != WHOLE_TEXT:
        body = sse(chat_event(text), chat_event(finish="stop")) + openai.usage + openai.done
    return (stream_head(wire) + chunk(body) + END,)


def whole_answer(text: str = WHOLE_TEXT) -> dict[str, Any]:
    """A chat completion that was not streamed."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "r1",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": _USAGE,
    }
