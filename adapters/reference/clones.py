"""Rows of handlers that are the plain one, or OpenAI's, with other data: services with a table of models, and programs on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from tercet.codecs.vocabulary import ConfigurationError

from . import facts
from .actions import Chunk
from .cerebras import (
    cerebras_client,
    cerebras_closing,
    cerebras_extras,
    cerebras_failure,
    cerebras_messages,
    cerebras_model,
    cerebras_words,
)
from .chat import ChatFamily, plain_client
from .lm_studio import lm_studio_closing, lm_studio_extras, lm_studio_model, lm_studio_words
from .messages import Message, to_openai, to_r1
from .openai import as_openai
from .params import model_params
from .qwen_code import qwen_model, qwen_reader
from .row import NEEDS_KEY, ChatRow, Client, Facts, Turn, plain_usage
from .values import get, is_true, present

__all__ = ["clone_rows", "openai_table_model", "prompt_cache_usage", "table_model"]

_R1_TEMPERATURE = 0.6
_ROO_URL = "https://api.roocode.com/proxy/v1"


def table_model(family: ChatFamily) -> dict[str, Any]:
    """The configured id where the table has it, else the default one."""
    known = family.table()
    model_id: str = family.options.get("apiModelId") or ""
    if model_id not in known:
        model_id = facts.default_model(family.row.provider)
    return {"id": model_id, "info": known[model_id]}


def prompt_cache_usage(usage: Any, info: Facts) -> Chunk:
    """Cached tokens as DeepSeek and Ark tell them: what was missed counts as written."""
    return {
        **plain_usage(usage, info),
        **present(
            cacheWriteTokens=get(usage, "prompt_tokens_details", "cache_miss_tokens"),
            cacheReadTokens=get(usage, "prompt_tokens_details", "cached_tokens"),
        ),
    }


def openai_table_model(family: ChatFamily) -> dict[str, Any]:
    """The id of OpenAI's setting, with the default model's facts where the table does not have it."""
    known, model_id = family.table(), family.options["openAiModelId"]
    info = known.get(model_id) or known[facts.default_model(family.row.provider)]
    return {"id": model_id, "info": info, **model_params("openai", model_id, info, family.options)}


def _r1_model(family: ChatFamily) -> dict[str, Any]:
    model = table_model(family)
    is_r1 = family.is_r1(model["id"])
    return {
        **model,
        "info": {
            **model["info"],
            "temperature": family.row.r1_temperature if is_r1 else family.row.temperature,
        },
    }


def _kept_model(setting: str, unknown: Facts) -> Callable[[ChatFamily], dict[str, Any]]:
    """Whatever id the settings name; ``unknown`` are the facts of one that the table does not have."""

    def model(family: ChatFamily) -> dict[str, Any]:
        model_id = family.options.get(setting) or facts.default_model(family.row.provider)
        return {"id": model_id, "info": family.table().get(model_id, unknown)}

    return model


def _huggingface_model(family: ChatFamily) -> dict[str, Any]:
    model_id = family.options.get("huggingFaceModelId") or "meta-llama/Llama-3.3-70B-Instruct"
    unknown = {
        "maxTokens": 8192,
        "contextWindow": 131072,
        "supportsImages": False,
        "supportsPromptCache": False,
    }
    return {"id": model_id, "info": family.models.get(model_id, unknown)}


def _moonshot_usage(usage: Any, info: Facts) -> Chunk:
    reads = present(cacheReadTokens=get(usage, "cached_tokens"))
    return {**plain_usage(usage, info), "cacheWriteTokens": 0, **reads}


def _zai_line(family: ChatFamily) -> Facts:
    line = family.options.get("zaiApiLine")
    lines: Mapping[str, Facts] = facts.constant("zai", "zaiApiLineConfigs")
    found = lines.get("international_coding" if line is None else line)
    if found is None:
        raise ConfigurationError(f"zaiApiLine is one of {', '.join(lines)}; got {line!r}")
    return found


def _zai_table(family: ChatFamily) -> Mapping[str, dict[str, Any]]:
    return facts.tables("zai")[
        "mainlandZAiModels" if _zai_line(family)["isChina"] else "internationalZAiModels"
    ]


def _zai_model(family: ChatFamily) -> dict[str, Any]:
    known = family.table()
    model_id: str = family.options.get("apiModelId") or ""
    where = "mainland" if _zai_line(family)["isChina"] else "international"
    if model_id not in known:
        model_id = facts.constant("zai", f"{where}ZAiDefaultModelId")
    return {"id": model_id, "info": known[model_id]}


def _zai_client(family: ChatFamily) -> Client:
    return plain_client(family, url=_zai_line(family)["baseUrl"])


def _roo_client(family: ChatFamily) -> Client:
    return plain_client(family, url=family.env.get("ROO_CODE_PROVIDER_URL"))


def _roo_headers(family: ChatFamily, turn: Turn) -> dict[str, str]:
    task = turn.metadata.get("taskId")
    return {"X-Roo-Task-ID": task} if task else {}


def _roo_reader() -> Callable[[Any], list[Chunk]]:
    """As usual, but that an empty thought is a chunk, too."""

    def read(delta: Any) -> list[Chunk]:
        text, thought = get(delta, "content"), get(delta, "reasoning_content")
        chunks: list[Chunk] = [{"type": "text", "text": text}] if is_true(text) else []
        if isinstance(thought, str):
            chunks.append({"type": "reasoning", "text": thought})
        return chunks

    return read


def _ollama_model(family: ChatFamily) -> dict[str, Any]:
    return {
        "id": family.options.get("ollamaModelId") or "",
        "info": facts.constant("openai", "openAiModelInfoSaneDefaults"),
    }


def _ollama_messages(
    family: ChatFamily, model: Facts, system: str, messages: Sequence[Message]
) -> list[dict[str, Any]]:
    convert = to_r1 if family.is_r1(model["id"]) else to_openai
    return [{"role": "system", "content": system}, *convert(messages)]


def _ollama_prompt_extras(family: ChatFamily, model: Facts) -> dict[str, Any]:
    chosen = family.options.get("modelTemperature")
    default = _R1_TEMPERATURE if family.is_r1(model["id"]) else 0
    return {"temperature": default if chosen is None else chosen}


_CLONES = (
    ChatRow(
        provider="chutes",
        label="Chutes",
        key="chutesApiKey",
        needs_key=NEEDS_KEY,
        url="https://llm.chutes.ai/v1",
        known_model=_r1_model,
        wraps_stream=False,
        temperature=0.5,
        r1="DeepSeek-R1",
        r1_temperature=_R1_TEMPERATURE,
        splits_think="r1",
    ),
    ChatRow(
        provider="featherless",
        label="Featherless",
        key="featherlessApiKey",
        needs_key=NEEDS_KEY,
        url="https://api.featherless.ai/v1",
        known_model=_r1_model,
        wraps_stream=False,
        temperature=0.5,
        r1="DeepSeek-R1",
        r1_temperature=_R1_TEMPERATURE,
        splits_think="r1",
    ),
    ChatRow(
        provider="fireworks",
        label="Fireworks",
        key="fireworksApiKey",
        needs_key=NEEDS_KEY,
        url="https://api.fireworks.ai/inference/v1",
        known_model=table_model,
        wraps_stream=False,
        temperature=0.5,
    ),
    ChatRow(
        provider="sambanova",
        label="SambaNova",
        key="sambaNovaApiKey",
        needs_key=NEEDS_KEY,
        url="https://api.sambanova.ai/v1",
        known_model=table_model,
        wraps_stream=False,
        temperature=0.7,
    ),
    ChatRow(
        provider="io-intelligence",
        label="IO Intelligence",
        key="ioIntelligenceApiKey",
        needs_key="IO Intelligence API key is required",
        url="https://api.intelligence.io.solutions/api/v1",
        known_model=_kept_model(
            "ioIntelligenceModelId",
            {
                "maxTokens": 8192,
                "contextWindow": 128000,
                "supportsImages": False,
                "supportsPromptCache": False,
            },
        ),
        wraps_stream=False,
        catalogue="io-intelligence",
        temperature=0.7,
    ),
    ChatRow(
        provider="zai",
        label="Z AI",
        key="zaiApiKey",
        url="https://api.z.ai/api/coding/paas/v4",
        known_model=_zai_model,
        wraps_stream=False,
        table=_zai_table,
        client=_zai_client,
    ),
    ChatRow(
        provider="roo",
        label="Roo Code Cloud",
        key="rooSessionToken",  # not a setting of the reference, which asks the editor's session
        no_key="unauthenticated",
        url=_ROO_URL,
        known_model=_kept_model(
            "apiModelId",
            {
                "maxTokens": 16384,
                "contextWindow": 262144,
                "supportsImages": False,
                "supportsPromptCache": True,
                "inputPrice": 0,
                "outputPrice": 0,
            },
        ),
        wraps_stream=False,
        temperature=0.7,
        client=_roo_client,
        stream_headers=_roo_headers,
        reader=_roo_reader,
    ),
    ChatRow(
        provider="huggingface",
        label="HuggingFace",
        key="huggingFaceApiKey",
        needs_key="Hugging Face API key is required",
        url="https://router.huggingface.co/v1",
        known_model=_huggingface_model,
        catalogue="huggingface",
        fetches="loosely",
        catalogue_seconds=3600.0,
        temperature=0.7,
        max_when="chosen",
        order="model temperature messages stream stream_options max_tokens",
    ),
    ChatRow(
        provider="cerebras",
        label="Cerebras",
        key="cerebrasApiKey",
        needs_key="Cerebras API key is required",
        url="https://api.cerebras.ai/v1",
        known_model=cerebras_model,
        retries=False,
        wraps_all=True,
        max_when="never",
        stream_options=False,
        prompt_stream=True,
        order="model messages stream max_completion_tokens temperature",
        splits_think=True,
        usage_when="never",
        client=cerebras_client,
        messages=cerebras_messages,
        extras=cerebras_extras,
        closing=cerebras_closing,
        words=cerebras_words,
        failure=cerebras_failure,
    ),
    ChatRow(
        provider="ollama",
        label="Ollama",
        key="ollamaApiKey",
        no_key="ollama",
        base="ollamaBaseUrl",
        url="http://localhost:11434",
        url_suffix="/v1",
        known_model=_ollama_model,
        sends_identity=False,
        wraps_prompt=2,
        catalogue="ollama",
        r1="deepseek-r1",
        max_when="never",
        prompt_stream=True,
        order="model messages temperature stream stream_options",
        splits_think=True,
        usage_when="last",
        messages=_ollama_messages,
        prompt_extras=_ollama_prompt_extras,
    ),
    ChatRow(
        provider="lm-studio",
        label="LM Studio",
        key="",
        no_key="noop",
        base="lmStudioBaseUrl",
        url="http://localhost:1234",
        url_suffix="/v1",
        known_model=lm_studio_model,
        sends_identity=False,
        wraps_all=True,
        catalogue="lmstudio",
        max_when="never",
        stream_options=False,
        prompt_temperature=True,
        prompt_stream=True,
        order="model messages temperature stream draft_model",
        splits_think=True,
        usage_when="never",
        extras=lm_studio_extras,
        prompt_extras=lm_studio_extras,
        closing=lm_studio_closing,
        words=lm_studio_words,
    ),
    ChatRow(
        provider="qwen-code",
        label="Qwen Code",
        key="",
        url="https://dashscope.aliyuncs.com/compatible-mode/v1",
        known_model=qwen_model,
        sends_identity=False,
        wraps_stream=False,
        wraps_prompt=0,
        max_field="max_completion_tokens",
        prompt_limit=True,
        reader=qwen_reader,
        extras=lambda family, model, turn: {"temperature": 0},
    ),
)


def clone_rows(openai: ChatRow) -> tuple[ChatRow, ...]:
    """The rows of this file. ``openai`` is OpenAI's own, which some of them are underneath."""
    return (
        *_CLONES,
        msgspec.structs.replace(
            openai,
            provider="doubao",
            settings=as_openai(
                key="doubaoApiKey",
                base="doubaoBaseUrl",
                url=facts.constant("doubao", "DOUBAO_API_BASE_URL"),
                default_model=facts.default_model("doubao"),
            ),
            known_model=openai_table_model,
            usage=prompt_cache_usage,
        ),
        msgspec.structs.replace(
            openai,
            provider="moonshot",
            settings=as_openai(
                key="moonshotApiKey",
                base="moonshotBaseUrl",
                url="https://api.moonshot.ai/v1",
                default_model="kimi-k2-0905-preview",
            ),
            known_model=openai_table_model,
            usage=_moonshot_usage,
            max_field="max_tokens",
            max_when="always",
            order="model temperature messages stream stream_options reasoning_effort max_tokens",
        ),
    )
