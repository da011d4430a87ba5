"""``tercet chat``: a question, and the answer as it comes."""

from __future__ import annotations

import argparse
import os
import sys

import msgspec
import trio

import tercet
from tercet.adapters.registry import split_model
from tercet.codecs.vocabulary import Message

from .output import code_of, print_error, print_json, style

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Answer the question on standard output; the exit code."""
    try:
        question = sys.stdin.read() if options.question == "-" else options.question
        if not question.strip():
            raise tercet.ConfigurationError("the question is empty")
        registry = tercet.ProviderRegistry()
        model = options.model or _first_with_key(registry)
        messages: list[Message] = [tercet.system(options.system)] if options.system else []
        request = tercet.ChatRequest(model, [*messages, tercet.user(question)], max_tokens=options.max_tokens)
        return trio.run(_stream, registry, request, options, restrict_keyboard_interrupt_to_checkpoints=True)
    except tercet.TercetError as error:
        print_error(error, as_json=options.json)
        return code_of(error)


async def _stream(
    registry: tercet.ProviderRegistry, request: tercet.ChatRequest, options: argparse.Namespace
) -> int:
    base_urls: dict[str, str] = {}
    if options.base_url:
        base_urls[split_model(request.model, registry)[0]] = options.base_url
    async with (
        tercet.open_manager(registry, base_urls=base_urls) as manager,
        manager.chat_stream(request, fallbacks=options.fallback) as stream,
    ):
        if options.json:
            async for token in stream:
                print_json(msgspec.to_builtins(token))
        else:
            try:
                await _print_tokens(stream, with_reasoning=options.reasoning)
            finally:
                print(flush=True)  # whatever ends the answer, what follows begins on a line of its own
        answer = stream.response
    if options.json:
        print_json({"type": "response", **msgspec.to_builtins(answer)})
    else:
        _print_facts(answer)
    return 0


async def _print_tokens(stream: tercet.TokenStream, *, with_reasoning: bool) -> None:
    is_reasoning = False
    async for token in stream:
        if isinstance(token, tercet.ReasoningDelta) and with_reasoning:
            is_reasoning = True
            print(style(token.text, "dim", stream=sys.stderr), end="", flush=True, file=sys.stderr)
        elif isinstance(token, tercet.TextDelta):
            if is_reasoning:
                print(file=sys.stderr)
                is_reasoning = False
            print(token.text, end="", flush=True)


def _print_facts(answer: tercet.ChatResponse) -> None:
    facts = [f"{answer.provider}:{answer.model}"]
    if answer.usage is not None:
        facts.append(f"{answer.usage.input_tokens} + {answer.usage.output_tokens} tokens")
        if answer.usage.cost is not None:
            facts.append(f"${answer.usage.cost:.6f}")
    if answer.finish_reason != "stop":
        facts.append(f"ended by {answer.finish_reason}")
    if sys.stderr.isatty():
        print(style("  ".join(facts), "dim", stream=sys.stderr), file=sys.stderr)


def _first_with_key(registry: tercet.ProviderRegistry) -> str:
    looked: list[str] = []
    for profile in registry:
        if not profile.key_env or not profile.key_required or profile.default_model is None:
            continue
        looked += profile.key_env
        if any(os.environ.get(name, "").strip() for name in profile.key_env):
            return f"{profile.id}:{profile.default_model}"
    raise tercet.ConfigurationError(
        f"no provider has a key. Looked for {', '.join(looked)} in the environment. "
        "Set one of them, or try --model simulated:echo, which needs none."
    )
