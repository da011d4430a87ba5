"""What is read of the answers of the models that speak only text behind InvokeModel: one Struct a family.

Each knows what it says: ``said`` (text), ``stop`` (the maker's word for the end, None before it) and its counts, if it has any. Whole
answers and the objects of a stream are read by the same Struct. Source: the User Guide's pages of the makers, 2026-11.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from .shared import as_object

__all__ = [
    "CHUNK",
    "FAMILIES",
    "METRICS",
    "Chunk",
    "ClaudeText",
    "Cohere",
    "DeepSeek",
    "Llama",
    "Metrics",
    "MetricsHolder",
    "MistralText",
    "Piece",
    "Titan",
]


class Chunk(msgspec.Struct, frozen=True):
    """``chunk``: one object of the model's, in base64."""

    data: bytes = msgspec.field(default=b"", name="bytes")


class Metrics(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What Bedrock counted, in the last object of every stream."""

    input_token_count: int | None = None
    output_token_count: int | None = None
    cache_read_input_token_count: int | None = None
    cache_write_input_token_count: int | None = None


class MetricsHolder(msgspec.Struct, frozen=True, gc=False):
    """An object of any family."""

    metrics: Metrics | None = msgspec.field(default=None, name="amazon-bedrock-invocationMetrics")


class Piece(msgspec.Struct, frozen=True):
    """What an object of a stream, or a whole answer, says."""

    @property
    def said(self) -> str:
        """The text."""
        return ""

    @property
    def stop(self) -> str | None:
        """The word for the end; None before it."""
        return None

    @property
    def counts(self) -> tuple[int | None, int | None]:
        """Tokens in and out, as far as this object says."""
        return None, None

    @property
    def stop_sequence(self) -> str | None:
        """What ended the answer."""
        return None

    @property
    def calls(self) -> Sequence[Any]:
        """Whole calls of tools."""
        return ()


class ClaudeText(Piece, frozen=True):
    """Claude 2 and Instant."""

    completion: str = ""
    stop_reason: str | None = None
    stop_: str | None = msgspec.field(default=None, name="stop")

    @property
    def said(self) -> str:
        return self.completion

    @property
    def stop(self) -> str | None:
        return self.stop_reason

    @property
    def stop_sequence(self) -> str | None:
        return self.stop_


class _TitanResult(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    output_text: str = ""
    completion_reason: str | None = None
    token_count: int | None = None


class Titan(Piece, frozen=True, rename="camel"):
    """Titan Text: a whole answer has its one result in a list."""

    output_text: str = ""
    completion_reason: str | None = None
    input_text_token_count: int | None = None
    total_output_text_token_count: int | None = None
    results: Sequence[_TitanResult] = ()

    @property
    def said(self) -> str:
        return self.results[0].output_text if self.results else self.output_text

    @property
    def stop(self) -> str | None:
        return self.results[0].completion_reason if self.results else self.completion_reason

    @property
    def counts(self) -> tuple[int | None, int | None]:
        written = self.results[0].token_count if self.results else self.total_output_text_token_count
        return self.input_text_token_count, written


class Llama(Piece, frozen=True):
    """Llama, and models that were imported in its form."""

    generation: str = ""
    stop_reason: str | None = None
    prompt_token_count: int | None = None
    generation_token_count: int | None = None

    @property
    def said(self) -> str:
        return self.generation

    @property
    def stop(self) -> str | None:
        return self.stop_reason

    @property
    def counts(self) -> tuple[int | None, int | None]:
        return self.prompt_token_count, self.generation_token_count


class _Output(msgspec.Struct, frozen=True, gc=False):
    text: str = ""
    stop_reason: str | None = None


class MistralText(Piece, frozen=True):
    """Mistral 7B, Mixtral and the older Large and Small."""

    outputs: Sequence[_Output] = ()

    @property
    def said(self) -> str:
        return self.outputs[0].text if self.outputs else ""

    @property
    def stop(self) -> str | None:
        return self.outputs[0].stop_reason if self.outputs else None


class DeepSeek(Piece, frozen=True):
    """DeepSeek-R1."""

    choices: Sequence[_Output] = ()

    @property
    def said(self) -> str:
        return self.choices[0].text if self.choices else ""

    @property
    def stop(self) -> str | None:
        return self.choices[0].stop_reason if self.choices else None


class _Generation(msgspec.Struct, frozen=True, gc=False):
    text: str = ""
    finish_reason: str | None = None


class Cohere(Piece, frozen=True):
    """Command and Command R. The last event of a stream repeats the answer in ``response``, which is not read."""

    text: str = ""
    finish_reason: str | None = None
    event_type: str | None = None
    generations: Sequence[_Generation] = ()
    tool_calls: Sequence[Any] | None = None
    meta: Any = None

    @property
    def said(self) -> str:
        if self.generations:
            return self.generations[0].text
        return self.text if self.event_type in (None, "text-generation") else ""

    @property
    def stop(self) -> str | None:
        return self.generations[0].finish_reason if self.generations else self.finish_reason

    @property
    def counts(self) -> tuple[int | None, int | None]:
        billed = as_object(as_object(self.meta).get("billed_units"))
        given, written = billed.get("input_tokens"), billed.get("output_tokens")
        return (given if isinstance(given, int) else None), (written if isinstance(written, int) else None)

    @property
    def calls(self) -> Sequence[Any]:
        return self.tool_calls or ()


def _decoder(shape: type[Piece]) -> msgspec.json.Decoder[Piece]:
    return msgspec.json.Decoder(shape)


FAMILIES: tuple[tuple[str, msgspec.json.Decoder[Piece]], ...] = (
    ("completion", _decoder(ClaudeText)),
    ("outputText", _decoder(Titan)),
    ("results", _decoder(Titan)),
    ("generation", _decoder(Llama)),
    ("outputs", _decoder(MistralText)),
    ("choices", _decoder(DeepSeek)),
    ("generations", _decoder(Cohere)),
    ("event_type", _decoder(Cohere)),
    ("is_finished", _decoder(Cohere)),
    ("text", _decoder(Cohere)),
)
"""The member by which an object shows whose it is, and how it is read. ``choices`` are DeepSeek-R1's where they hold ``text``."""

CHUNK = msgspec.json.Decoder(Chunk)
METRICS = msgspec.json.Decoder(MetricsHolder)
