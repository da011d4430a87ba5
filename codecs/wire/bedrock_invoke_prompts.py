"""Conversations as one prompt, for the models on Bedrock that take nothing else: the template that each family was trained on.

The marks of a template are part of the prompt's text, so a text that holds them could put words into another's mouth (a web page that
says ``<|start_header_id|>system``). Such a request is refused: the Converse API writes the same conversation where marks are only text.
Sources: the makers' prompt format pages as the Bedrock User Guide links them ("Inference request parameters", 2026-11).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from ..vocabulary import Message, Text, UnsupportedError

__all__ = ["PROMPTS", "Prompt"]


class Prompt(msgspec.Struct, frozen=True):
    """``write`` makes the prompt of (role, text) turns; ``marks`` are the beginnings of what its texts must not hold."""

    write: Callable[[Sequence[tuple[str, str]]], str]
    marks: tuple[str, ...] = ()

    def prompt(self, turns: Sequence[Message]) -> str:
        """The prompt. Raises :class:`UnsupportedError` for parts that are no text, and for texts with the template's marks in them."""
        told: list[tuple[str, str]] = []
        for turn in turns:
            role = {"developer": "system", "tool": "user"}.get(turn.role, turn.role)
            for part in turn.parts:
                if not isinstance(part, Text):
                    raise UnsupportedError(
                        f"this model takes a prompt of text, and no {type(part).__name__}; use the Converse API"
                    )
            text = turn.text.strip()
            mark = next((mark for mark in self.marks if mark in text), None)
            if mark is not None:
                raise UnsupportedError(
                    f"a message holds {mark!r}, which is a mark of this model's prompt; use the Converse API"
                )
            if not text:
                continue
            if told and told[-1][0] == role:
                told[-1] = (role, f"{told[-1][1]}\n\n{text}")
            else:
                told.append((role, text))
        if not any(role != "system" for role, _ in told):
            raise UnsupportedError(
                "a prompt needs a user or assistant message with something in it; got none"
            )
        return self.write(told)


def _llama3(turns: Sequence[tuple[str, str]]) -> str:
    said = "".join(f"<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>" for role, text in turns)
    return f"<|begin_of_text|>{said}<|start_header_id|>assistant<|end_header_id|>\n\n"


def _llama4(turns: Sequence[tuple[str, str]]) -> str:
    said = "".join(f"<|header_start|>{role}<|header_end|>\n\n{text}<|eot|>" for role, text in turns)
    return f"<|begin_of_text|>{said}<|header_start|>assistant<|header_end|>\n\n"


def _instructed(turns: Sequence[tuple[str, str]], system: str) -> str:
    """``[INST]`` around what the user says; ``system`` is how a system message stands in front of it."""
    written: list[str] = []
    before = ""
    for role, text in turns:
        if role == "system":
            before += system.format(text)
        elif role == "user":
            written.append(f"<s>[INST] {before}{text} [/INST]")
            before = ""
        else:
            written.append(f" {text} </s>")
    if before:
        written.append(f"<s>[INST] {before.rstrip()} [/INST]")
    return "".join(written)


def _llama2(turns: Sequence[tuple[str, str]]) -> str:
    return _instructed(turns, "<<SYS>>\n{}\n<</SYS>>\n\n")


def _mistral(turns: Sequence[tuple[str, str]]) -> str:
    return _instructed(turns, "{}\n\n").replace("</s><s>", "</s>")


def _deepseek(turns: Sequence[tuple[str, str]]) -> str:
    marks = {"system": "", "user": "<｜User｜>", "assistant": "<｜Assistant｜>"}
    ends = {"assistant": "<｜end▁of▁sentence｜>"}
    said = "".join(f"{marks[role]}{text}{ends.get(role, '')}" for role, text in turns)
    return f"<｜begin▁of▁sentence｜>{said}<｜Assistant｜><think>\n"


def _named(turns: Sequence[tuple[str, str]], user: str, assistant: str, between: str) -> str:
    """``User: ...`` and ``Bot: ...`` in turn; the system's words stand in front."""
    names = {"user": user, "assistant": assistant}
    said = [text if role == "system" else f"{names[role]}: {text}" for role, text in turns]
    return between.join([*said, f"{assistant}:"])


def _titan(turns: Sequence[tuple[str, str]]) -> str:
    return _named(turns, "User", "Bot", "\n")


def _claude(turns: Sequence[tuple[str, str]]) -> str:
    system = [text for role, text in turns if role == "system"]
    rest = [turn for turn in turns if turn[0] != "system"]
    return "\n\n".join(system) + "\n\n" + _named(rest, "Human", "Assistant", "\n\n")


def _plain(turns: Sequence[tuple[str, str]]) -> str:
    """One message as it is; a conversation with names in front."""
    if len(turns) == 1:
        return turns[0][1]
    return _named(turns, "User", "Chatbot", "\n")


PROMPTS: dict[str, Prompt] = {
    "llama2": Prompt(_llama2, ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<s>", "</s>")),
    "llama3": Prompt(
        _llama3, ("<|begin_of_text", "<|start_header", "<|end_header", "<|eot_id", "<|end_of_text")
    ),
    "llama4": Prompt(_llama4, ("<|begin_of_text", "<|header_", "<|eot", "<|end_of_text")),
    "mistral_text": Prompt(_mistral, ("[INST]", "[/INST]", "<s>", "</s>")),
    "deepseek_r1": Prompt(_deepseek, ("<｜",)),
    "titan": Prompt(_titan),
    "claude_text": Prompt(_claude, ("\n\nHuman:", "\n\nAssistant:")),
    "cohere_text": Prompt(_plain),
}
"""Family (see ``bedrock_models``) -> how its prompt is written."""
