"""What a model id of Bedrock says: whose model it is, and what stands in front of it.

The same model has several names: its id (``anthropic.claude-sonnet-4-6``), the id of an inference profile that spreads the load over
the regions of a continent (``eu.anthropic.claude-sonnet-4-6``), and ARNs of both. ARNs of application inference profiles, provisioned
throughput and imported models say nothing of the model: there the dialect's ``family`` has to.

Source: Amazon Bedrock User Guide, pages "Supported Regions and models for inference profiles" and "Inference request parameters
and response fields for foundation models", 2026-11.
"""

from __future__ import annotations

import re
from urllib.parse import quote

__all__ = ["PROFILE_PREFIXES", "bare_id", "family_of", "path_segment"]

PROFILE_PREFIXES = ("us", "us-gov", "ug", "eu", "apac", "ap", "jp", "au", "ca", "sa", "global")
"""What stands, with a dot, in front of a model's id in the id of an inference profile."""

_IN_FRONT = re.compile(
    r"(?:arn:aws[a-z-]*:bedrock:[^/]*:(?:foundation-model|inference-profile)/)?"
    rf"(?:(?:{'|'.join(PROFILE_PREFIXES)})\.)?"
)

_FAMILIES: tuple[tuple[str, str], ...] = (
    ("anthropic.claude-v", "claude_text"),
    ("anthropic.claude-instant", "claude_text"),
    ("anthropic.", "claude"),
    ("amazon.nova", "nova"),
    ("amazon.titan", "titan"),
    ("meta.llama2", "llama2"),
    ("meta.llama3", "llama3"),
    ("meta.llama4", "llama4"),
    ("deepseek.r1", "deepseek_r1"),
    ("mistral.mistral-7b", "mistral_text"),
    ("mistral.mixtral", "mistral_text"),
    ("mistral.mistral-large-2402", "mistral_text"),
    ("mistral.mistral-small-2402", "mistral_text"),
    ("mistral.", "mistral"),
    ("cohere.command-r", "cohere"),
    ("cohere.command", "cohere_text"),
    ("openai.", "openai"),
    ("qwen.", "chat"),
    ("deepseek.", "chat"),
    ("ai21.jamba", "chat"),
    ("moonshot", "chat"),
    ("zai.", "chat"),
    ("minimax.", "chat"),
    ("google.gemma", "chat"),
    ("nvidia.", "chat"),
    ("writer.", "chat"),
)
"""The beginning of an id -> the family of its requests and answers; the first that fits counts."""


def bare_id(model: str) -> str:
    """The model's own id: without the region of an inference profile, without the ARN around it."""
    found = _IN_FRONT.match(model)
    return model[found.end() :] if found else model


def family_of(model: str) -> str | None:
    """The family that the id belongs to, None if it does not say."""
    bare = bare_id(model)
    return next((family for beginning, family in _FAMILIES if bare.startswith(beginning)), None)


def path_segment(model: str) -> str:
    """A model id or an ARN as one segment of a path: encoded once, ``:`` and ``/`` included, as the AWS SDKs do."""
    return quote(model, safe="")
