"""The reference's conversions: its own messages, which are Anthropic's, to what other wires want.

A message is ``{"role": "user" | "assistant", "content": str | [block]}``; a block is ``text``, ``image`` (base64 source),
``tool_use`` or ``tool_result``. Every function returns new objects, which its caller may change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from tercet.codecs.vocabulary import BadRequestError

from .values import present, stringify, text_of

__all__ = ["Message", "to_gemini", "to_gemini_parts", "to_openai", "to_r1", "to_simple"]

Message: TypeAlias = Mapping[str, Any]
Block: TypeAlias = Mapping[str, Any]


def to_openai(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Chat completions' messages. Tool results come first, each as a message of role ``tool``; an image in one is dropped."""
    out: list[dict[str, Any]] = []
    for message in messages:
        content = message["content"]
        if isinstance(content, str):
            out.append({"role": message["role"], "content": content})
            continue
        blocks = cast("Sequence[Block]", content)
        spoken = [block for block in blocks if block["type"] in ("text", "image")]
        if message["role"] == "user":
            out.extend(_tool_message(block) for block in blocks if block["type"] == "tool_result")
            if spoken:
                out.append({"role": "user", "content": [_part(block) for block in spoken]})
        elif message["role"] == "assistant":
            texts = ["" if block["type"] == "image" else block.get("text") or "" for block in spoken]
            calls = [_tool_call(block) for block in blocks if block["type"] == "tool_use"]
            out.append(
                present(
                    role="assistant", content="\n".join(texts) if spoken else None, tool_calls=calls or None
                )
            )
    return out


def to_r1(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages for R1-like models: tool blocks dropped, neighbours of one role merged."""
    out: list[dict[str, Any]] = []
    for message in messages:
        content: Any = message["content"]
        if not isinstance(content, str):
            blocks = cast("Sequence[Block]", content)
            text = "\n".join(block["text"] for block in blocks if block["type"] == "text")
            images = [_part(block) for block in blocks if block["type"] == "image"]
            has_text = any(block["type"] == "text" for block in blocks)
            content = [*([{"type": "text", "text": text}] if has_text else []), *images] if images else text
        if not out or out[-1]["role"] != message["role"]:
            out.append({"role": message["role"], "content": content})
        elif isinstance(out[-1]["content"], str) and isinstance(content, str):
            out[-1]["content"] += f"\n{content}"
        else:
            out[-1]["content"] = [*_as_parts(out[-1]["content"]), *_as_parts(content)]
    return out


def to_simple(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Every message as plain text; what is not text is named in brackets."""
    return [{"role": message["role"], "content": _plain(message["content"])} for message in messages]


def to_gemini(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Gemini's contents. Raises ``BadRequestError`` for a block or an image source that it cannot say."""
    return [
        {
            "parts": to_gemini_parts(message["content"]),
            "role": "model" if message["role"] == "assistant" else "user",
        }
        for message in messages
    ]


def to_gemini_parts(content: str | Sequence[Block]) -> list[dict[str, Any]]:
    """One message's parts. The name of a tool result is what its id says before the first dash."""
    if isinstance(content, str):
        return [{"text": content}]
    parts: list[dict[str, Any]] = []
    for block in content:
        match block["type"]:
            case "text":
                parts.append({"text": block["text"]})
            case "image":
                if block["source"]["type"] != "base64":
                    raise BadRequestError("Unsupported image source type")
                parts.append(_inline(block))
            case "tool_use":
                parts.append({"functionCall": {"name": block["name"], "args": block["input"]}})
            case "tool_result":
                parts.extend(_function_response(block))
            case other:
                raise BadRequestError(f"Unsupported content block type: {other}")
    return parts


def _function_response(block: Block) -> list[dict[str, Any]]:
    content = block.get("content")
    if content is None or content == "":
        return []
    name = block["tool_use_id"].split("-")[0]
    images: list[dict[str, Any]] = []
    if not isinstance(content, str):
        items = cast("Sequence[Block]", content)
        images = [_inline(item) for item in items if _is_base64_image(item)]
        content = "\n\n".join(item["text"] for item in items if item["type"] == "text")
        if images:
            content += "\n\n(See next part for image)"
    return [{"functionResponse": {"name": name, "response": {"name": name, "content": content}}}, *images]


def _is_base64_image(item: Block) -> bool:
    return bool(item["type"] == "image" and item["source"]["type"] == "base64")


def _inline(block: Block) -> dict[str, Any]:
    return {"inlineData": {"data": block["source"]["data"], "mimeType": block["source"]["media_type"]}}


def _tool_message(block: Block) -> dict[str, Any]:
    content = block.get("content")
    if not isinstance(content, str):
        items = cast("Sequence[Block]", content or ())
        content = "\n".join(
            "(see following user message for image)" if item["type"] == "image" else item.get("text") or ""
            for item in items
        )
    return {"role": "tool", "tool_call_id": block["tool_use_id"], "content": content}


def _tool_call(block: Block) -> dict[str, Any]:
    return {
        "id": block["id"],
        "type": "function",
        "function": {"name": block["name"], "arguments": stringify(block["input"])},
    }


def _part(block: Block) -> dict[str, Any]:
    if block["type"] == "text":
        return {"type": "text", "text": block["text"]}
    source = block["source"]
    url = f"data:{text_of(source.get('media_type'))};base64,{text_of(source.get('data'))}"
    return {"type": "image_url", "image_url": {"url": url}}


def _as_parts(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _plain(content: str | Sequence[Block]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(piece for piece in map(_plain_block, content) if piece)


def _plain_block(block: Block) -> str:
    match block["type"]:
        case "text":
            return text_of(block["text"])
        case "image":
            return f"[Image: {text_of(block['source'].get('media_type'))}]"
        case "tool_use":
            return f"[Tool Use: {block['name']}]"
        case "tool_result":
            content = block.get("content")
            if isinstance(content, str):
                return content
            return "\n".join(map(_plain_block, cast("Sequence[Block]", content or ())))
        case _:
            return ""
