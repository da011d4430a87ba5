"""The sources of a Gemini answer: ``groundingMetadata`` (search, retrieval, maps) and ``citationMetadata`` (recitation).

Offsets are in bytes of the part's UTF-8 text, as Google counts them, and are handed on as they are.
"""

from __future__ import annotations

import msgspec

from ..vocabulary import Citation
from .surrogates import decode_lenient

__all__ = ["citations"]


class _Source(msgspec.Struct, gc=False):
    uri: str | None = None
    title: str | None = None


class _Chunk(msgspec.Struct, gc=False, rename="camel"):
    web: _Source | None = None
    retrieved_context: _Source | None = None
    maps: _Source | None = None


class _Segment(msgspec.Struct, gc=False, rename="camel"):
    start_index: int | None = None
    end_index: int | None = None
    text: str | None = None


class _Support(msgspec.Struct, gc=False, rename="camel"):
    segment: _Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class _Grounding(msgspec.Struct, gc=False, rename="camel"):
    grounding_chunks: list[_Chunk] | None = None
    grounding_supports: list[_Support] | None = None


class _Cited(msgspec.Struct, gc=False, rename="camel"):
    uri: str | None = None
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class _CitationMetadata(msgspec.Struct, gc=False, rename="camel"):
    citations: list[_Cited] | None = None
    citation_sources: list[_Cited] | None = (
        None  # its name in the Generative Language API's reference; Vertex says `citations`
    )


_GROUNDING = msgspec.json.Decoder(_Grounding | None)
_CITATIONS = msgspec.json.Decoder(_CitationMetadata | None)


def citations(grounding: bytes, cited: bytes) -> list[Citation]:
    """The sources in the two fields' JSON; empty bytes stand for an absent field. Raises :class:`ProtocolError` for other JSON."""
    found: list[Citation] = []
    if grounding:
        found += _grounding(decode_lenient(_GROUNDING, grounding) or _Grounding())
    if cited:
        metadata = decode_lenient(_CITATIONS, cited) or _CitationMetadata()
        found += [
            Citation(one.uri, one.title, None, one.start_index, one.end_index)
            for one in metadata.citations or metadata.citation_sources or ()
        ]
    return found


def _grounding(metadata: _Grounding) -> list[Citation]:
    """Each supported piece of the answer with each of its sources, then the sources that support no piece."""
    sources = [
        chunk.web or chunk.retrieved_context or chunk.maps or _Source()
        for chunk in metadata.grounding_chunks or ()
    ]
    used: set[int] = set()
    found: list[Citation] = []
    for support in metadata.grounding_supports or ():
        segment = support.segment or _Segment()
        for index in support.grounding_chunk_indices or ():
            if 0 <= index < len(sources) and sources[index].uri:
                used.add(index)
                source = sources[index]
                found.append(
                    Citation(source.uri, source.title, segment.text, segment.start_index, segment.end_index)
                )
    found += [Citation(one.uri, one.title) for at, one in enumerate(sources) if at not in used and one.uri]
    return found
