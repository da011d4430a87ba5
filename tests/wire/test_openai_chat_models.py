"""Lists of models in the shapes of many services."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tercet.codecs.vocabulary import AuthenticationError, Model, Prices, ProtocolError
from tercet.codecs.wire.openai_chat import Dialect, OpenAIChatWire


def models(payload: Any, **dialect: Any) -> list[Model]:
    return list(OpenAIChatWire(Dialect(**dialect)).models(json.dumps(payload).encode()))


def test_the_list_is_asked_for_where_there_is_one():
    request = OpenAIChatWire().list_models()
    assert request is not None
    assert (request.method, request.path, request.body) == ("GET", "/models", b"")
    assert OpenAIChatWire(Dialect(models_path=None)).list_models() is None


def test_openais_own_list():
    entry = {"id": "gpt-5.1", "object": "model", "created": 1760000000, "owned_by": "openai"}
    assert models({"object": "list", "data": [entry]}) == [Model("gpt-5.1", created=1760000000)]


def test_openrouter():
    entry = {
        "id": "a/b",
        "name": "B",
        "created": 1,
        "context_length": 1000,
        "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
        "pricing": {
            "prompt": "0.00000025",
            "completion": "0.000001",
            "input_cache_read": "0",
            "request": "-1",
        },
        "top_provider": {"context_length": 900, "max_completion_tokens": 100},
        "supported_parameters": [
            "temperature",
            "tools",
            "reasoning",
            "structured_outputs",
            "response_format",
            "unknown",
        ],
    }
    assert models({"data": [entry]}) == [
        Model(
            "a/b",
            name="B",
            context_window=1000,
            max_output_tokens=100,
            input_modalities=("text", "image"),
            output_modalities=("text",),
            prices=(Prices(0.25, 1.0, 0.0),),
            accepts=("temperature", "tools", "reasoning", "response_format"),
            created=1,
        )
    ]


@pytest.mark.parametrize(
    ("payload", "dialect", "expected"),
    [
        (
            {"data": [{"id": "g", "active": True, "context_window": 131072, "max_completion_tokens": 8192}]},
            {},
            Model("g", context_window=131072, max_output_tokens=8192),
        ),
        (
            {
                "data": [
                    {
                        "id": "v",
                        "type": "language",
                        "context_window": 9,
                        "max_tokens": 3,
                        "pricing": {"input": "0.000001", "output": "0.000002"},
                        "tags": ["vision"],
                    }
                ]
            },
            {},
            Model(
                "v",
                context_window=9,
                max_output_tokens=3,
                input_modalities=("text", "image"),
                prices=(Prices(1.0, 2.0),),
            ),
        ),
        (
            {
                "data": [
                    {
                        "id": "m",
                        "capabilities": {"completion_chat": True, "vision": False},
                        "max_context_length": 5,
                        "deprecation": "2026-12-01",
                    }
                ]
            },
            {},
            Model("m", context_window=5, retires="2026-12-01"),
        ),
        (
            {
                "data": [
                    {
                        "id": "d",
                        "metadata": {
                            "context_length": 7,
                            "max_tokens": 2,
                            "pricing": {"input_tokens": 0.5, "output_tokens": 1.5, "cache_read_tokens": 0.1},
                        },
                    }
                ]
            },
            {"price_unit": "million"},
            Model("d", context_window=7, max_output_tokens=2, prices=(Prices(0.5, 1.5, 0.1),)),
        ),
        (
            {
                "data": [
                    {
                        "model_name": "l",
                        "model_info": {
                            "max_tokens": 2,
                            "max_input_tokens": 7,
                            "input_cost_per_token": 1e-6,
                            "supports_vision": None,
                        },
                    }
                ]
            },
            {},
            Model("l", context_window=7, max_output_tokens=2, prices=(Prices(1.0),)),
        ),
        (
            {
                "anthropic/c": {
                    "maxTokens": "8192",
                    "contextWindow": 200000,
                    "supportsImages": True,
                    "inputTokenPrice": "3",
                    "outputTokenPrice": "15",
                    "cacheWritePrice": "3.75",
                }
            },
            {"price_unit": "million"},
            Model(
                "anthropic/c",
                context_window=200000,
                input_modalities=("text", "image"),
                prices=(Prices(3.0, 15.0, None, 3.75),),
            ),
        ),
        (
            [{"id": "x", "maxTokensInput": 5, "pricePerToken": {"input": "0.000001"}}],
            {},
            Model("x", context_window=5, prices=(Prices(1.0),)),
        ),
        (
            {
                "data": [
                    {
                        "id": "r",
                        "context_window": 4,
                        "input_price": 1e-6,
                        "output_price": 2e-6,
                        "cached_price": 1e-7,
                        "caching_price": 3e-7,
                    }
                ]
            },
            {},
            Model("r", context_window=4, prices=(Prices(1.0, 2.0, 0.1, 0.3),)),
        ),
    ],
)
def test_other_shapes(payload: Any, dialect: dict[str, Any], expected: Model):
    assert models(payload, **dialect) == [expected]


def test_what_does_not_chat_is_left_out():
    entries = [
        {"id": "e", "type": "embedding"},
        {"id": "m", "capabilities": {"completion_chat": False}},
        {"id": "f", "supports_chat": False},
        {"name": "no id"},
        7,
    ]
    assert models({"data": entries}) == []


@pytest.mark.parametrize("payload", [7, {}, {"data": "x"}, {"a": 1}, None])
def test_what_is_no_list_is_a_protocol_error(payload: Any):
    with pytest.raises(ProtocolError):
        models(payload)


def test_an_error_in_place_of_a_list_is_raised():
    with pytest.raises(AuthenticationError):
        models({"error": {"message": "bad", "code": "invalid_api_key"}})
    with pytest.raises(ProtocolError):
        OpenAIChatWire().token_count(b'{"data":{"total_tokens":"9"}}')
