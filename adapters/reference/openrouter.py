"""What is OpenRouter's own in the reference: facts from the network, routing, transforms, its usage, image generation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tercet.codecs.vocabulary import TercetError

from . import facts
from .actions import Chunk, Conversation
from .caching import mark_openai_anthropic, mark_openai_gemini
from .chat import ChatFamily, Facts, Turn, chat_messages
from .family import IDENTITY
from .http import Request, fetch, merge_headers, read_text, reason_phrase
from .lists import get_model_endpoints, get_models
from .messages import Message, to_r1
from .params import model_params
from .values import get, is_true, parse_json, present, stringify

__all__ = [
    "generate_image",
    "openrouter_extras",
    "openrouter_fetched_model",
    "openrouter_messages",
    "openrouter_model",
    "openrouter_prompt_extras",
    "openrouter_usage",
]

_R1_TEMPERATURE = 0.6
_R1_TOP_P = 0.95
IMAGE_IDENTITY: Mapping[str, str] = {
    "HTTP-Referer": "https://github.com/RooVetGit/Roo-Code",
    "X-Title": "Roo Code",
}
_IMAGE = re.compile(r"data:image/(png|jpeg|jpg);base64,(.+)")


def openrouter_model(
    family: ChatFamily, models: Facts | None = None, endpoints: Facts | None = None
) -> dict[str, Any]:
    """``{id, info, topP?, ...params}``; facts of the chosen endpoint, else of the model, else defaults."""
    options = family.options
    model_id = options.get("openRouterModelId")
    if model_id is None:
        model_id = facts.default_model("openrouter")
    info = get(endpoints, options.get("openRouterSpecificProvider") or "") or get(models, model_id)
    if info is None:
        info = facts.constant("openrouter", "openRouterDefaultModelInfo")
    is_r1 = _is_r1(model_id)
    params = model_params("openrouter", model_id, info, options, _R1_TEMPERATURE if is_r1 else 0)
    return {"id": model_id, "info": info, **present(topP=_R1_TOP_P if is_r1 else None), **params}


def openrouter_fetched_model(family: ChatFamily) -> Conversation[dict[str, Any]]:
    """The same with the facts that the network has. What cannot be fetched is as if it were not there."""
    options = family.options
    models = yield from family.cached("models", get_models({"provider": "openrouter"}))
    wanted = {
        "router": "openrouter",
        "modelId": options.get("openRouterModelId"),
        "endpoint": options.get("openRouterSpecificProvider"),
    }
    endpoints = yield from family.cached("endpoints", get_model_endpoints(wanted))
    return openrouter_model(family, models, endpoints)


def openrouter_messages(
    family: ChatFamily, model: Facts, system: str, messages: Sequence[Message]
) -> list[dict[str, Any]]:
    """R1 format for R1 models; cache marks for the models of a list."""
    if _is_r1(model["id"]):
        return to_r1([{"role": "user", "content": system}, *messages])
    converted = chat_messages(family, model, system, messages)
    if model["id"] in facts.constant("openrouter", "OPEN_ROUTER_PROMPT_CACHING_MODELS"):
        mark = mark_openai_gemini if model["id"].startswith("google") else mark_openai_anthropic
        mark(system, converted)
    return converted


def openrouter_extras(family: ChatFamily, model: Facts, turn: Turn) -> dict[str, Any]:
    """Limit, top_p, provider, transforms and reasoning of a streamed request."""
    reasoning = model.get("reasoning")
    if reasoning is None and model["id"] in ("google/gemini-2.5-pro", "google/gemini-2.5-pro-preview"):
        reasoning = {"exclude": True}
    middle_out = family.options.get("openRouterUseMiddleOutTransform")
    most = model.get("maxTokens")
    return {
        "temperature": model.get("temperature"),
        "max_tokens": most if most and most > 0 else None,
        "top_p": model.get("topP"),
        "provider": _routing(family),
        "transforms": ["middle-out"] if middle_out is None or is_true(middle_out) else None,
        "reasoning": reasoning,
    }


def openrouter_prompt_extras(family: ChatFamily, model: Facts) -> dict[str, Any]:
    """The same for the single prompt, which has fewer."""
    return {
        "max_tokens": model.get("maxTokens"),
        "temperature": model.get("temperature"),
        "stream": False,
        "provider": _routing(family),
        "reasoning": model.get("reasoning"),
    }


def openrouter_usage(usage: Any, info: Facts) -> Chunk:
    """Cost as OpenRouter charged it, with what it paid upstream."""
    return {
        "type": "usage",
        "inputTokens": get(usage, "prompt_tokens") or 0,
        "outputTokens": get(usage, "completion_tokens") or 0,
        **present(
            cacheReadTokens=get(usage, "prompt_tokens_details", "cached_tokens"),
            reasoningTokens=get(usage, "completion_tokens_details", "reasoning_tokens"),
            totalCost=(get(usage, "cost_details", "upstream_inference_cost") or 0)
            + (get(usage, "cost") or 0),
        ),
    }


def generate_image(
    prompt: str,
    model: str,
    api_key: str,
    input_image: str | None = None,
    *,
    identity: Mapping[str, str],
) -> Conversation[dict[str, Any]]:
    """``{success, imageData, imageFormat}`` or ``{success: False, error}``; never raises what the network does."""
    if not api_key:
        return _no_image("OpenRouter API key is required for image generation")
    content: Any = prompt
    if input_image:
        content = [
            {"type": "text", "text": prompt},
            {"type": "image_url", "image_url": {"url": input_image}},
        ]
    body = {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "modalities": ["image", "text"],
    }
    request = Request(
        "POST",
        "https://openrouter.ai/api/v1/chat/completions",
        merge_headers(
            {
                "Authorization": f"Bearer {api_key}",
                "Content-Type": "application/json",
                "accept": "*/*",
                "user-agent": "tercet",
            },
            IMAGE_IDENTITY if identity is IDENTITY else identity,
        ),
        stringify(body).encode(),
    )
    try:
        reply = yield from fetch(request)
        text = yield from read_text()
    except TercetError as error:
        return _no_image(error.message)
    try:
        answer = parse_json(text)
    except ValueError as error:
        if reply.status in range(200, 300):
            return _no_image(f"the answer is not JSON: {error}")
        answer = None
    return _image(reply.status, answer)


def _image(status: int, answer: Any) -> dict[str, Any]:
    if status not in range(200, 300):
        said = get(answer, "error", "message") or f"{status} {reason_phrase(status)}"
        return _no_image(f"Failed to generate image: {said}")
    if is_true(get(answer, "error")):
        return _no_image(f"Failed to generate image: {get(answer, 'error', 'message')}")
    images = get(answer, "choices", 0, "message", "images")
    if not images:
        return _no_image("No image was generated in the response")
    url = get(images, 0, "image_url", "url")
    if not url:
        return _no_image("Invalid image data in response")
    found = _IMAGE.fullmatch(url)
    if found is None:
        return _no_image("Invalid image format received")
    return {"success": True, "imageData": url, "imageFormat": found[1]}


def _no_image(error: str) -> dict[str, Any]:
    return {"success": False, "error": error}


def _routing(family: ChatFamily) -> dict[str, Any] | None:
    name = family.options.get("openRouterSpecificProvider")
    if not name or name == facts.constant("openrouter", "OPENROUTER_DEFAULT_PROVIDER_NAME"):
        return None
    return {"order": [name], "only": [name], "allow_fallbacks": False}


def _is_r1(model_id: str) -> bool:
    return model_id.startswith("deepseek/deepseek-r1") or model_id == "perplexity/sonar-reasoning"
