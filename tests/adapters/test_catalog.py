"""The catalogs: data with a source and a date, consistent in itself; what usage costs."""

from __future__ import annotations

import json
from importlib import resources

import msgspec
import pytest

import tercet
from tercet.adapters.catalog import Catalog, cost, load_catalog
from tercet.adapters.table import PROFILES
from tercet.adapters.wires import make_wire

FILES = sorted(
    entry.name.removesuffix(".json")
    for entry in resources.files("tercet.adapters.catalog").iterdir()
    if entry.name.endswith(".json")
)
FIELDS = {*tercet.ChatRequest.__struct_fields__, "images", "prefill", "prompt_caching", "chat_completions"}


def raw(name: str) -> dict[str, object]:
    text = resources.files("tercet.adapters.catalog").joinpath(f"{name}.json").read_text()
    loaded: dict[str, object] = json.loads(text)
    return loaded


@pytest.mark.parametrize("name", FILES)
def test_a_catalog_says_where_it_is_from_and_contradicts_itself_nowhere(name: str) -> None:
    file = raw(name)
    assert set(file) - {"in_front"} == {"source", "as_of", "models"}
    assert file["source"]
    assert str(file["as_of"]) >= "2026-11-01"
    entries = file["models"]
    assert isinstance(entries, list)
    ids = [entry["id"] for entry in entries]
    assert len(set(ids)) == len(ids)
    for entry in entries:
        assert set(entry) <= set(tercet.Model.__struct_fields__), entry["id"]
        model = msgspec.convert(entry, tercet.Model)
        assert not set(model.accepts) & set(model.rejects), model.id
        assert {*model.accepts, *model.rejects, *model.rejects_with_reasoning} <= FIELDS, model.id
        assert model.default_effort is None or model.default_effort in model.efforts, model.id
        assert model.retires is None or len(model.retires) == 10, model.id
        assert [tier.above for tier in model.prices] == sorted({tier.above for tier in model.prices}), (
            model.id
        )
        assert all(
            price is None or price >= 0 for tier in model.prices for price in (tier.input, tier.output)
        ), model.id


def test_every_catalog_belongs_to_a_row_and_its_dialects_to_its_wires() -> None:
    for name in FILES:
        rows = [profile for profile in PROFILES if (profile.catalog or profile.id) == name]
        assert rows, name
        for profile in rows:
            adapter = tercet.Adapter(
                profile, base_url="https://row.test", settings={"project": "p", "resource": "r"}
            )
            for model in load_catalog(name):
                adapter.wire_for(model.id)  # raises for a field that its wire does not have


def test_an_exact_entry_goes_before_a_beginning_and_a_longer_one_before_a_shorter() -> None:
    catalog = Catalog(
        [
            tercet.Model("gpt-*", context_window=1),
            tercet.Model("gpt-5*", context_window=2),
            tercet.Model("gpt-5.1", context_window=3),
        ]
    )
    found = {name: catalog.get(name) for name in ("gpt-4", "gpt-5.2", "gpt-5.1", "o3")}
    assert {name: model and model.context_window for name, model in found.items()} == {
        "gpt-4": 1,
        "gpt-5.2": 2,
        "gpt-5.1": 3,
        "o3": None,
    }
    assert found["gpt-4"] is not None
    assert found["gpt-4"].id == "gpt-4"
    assert [model.id for model in catalog] == ["gpt-5.1"]
    assert len(catalog) == 1


def test_a_provider_without_a_catalog_has_an_empty_one() -> None:
    assert len(load_catalog("nobody")) == 0
    assert load_catalog("nobody").get("x") is None


def test_models_are_stamped_with_provider_source_and_date() -> None:
    model = load_catalog("moonshot").get("kimi-k3")
    assert model is not None
    assert (model.provider, model.as_of) == ("moonshot", "2026-11-22")
    assert model.source


def test_models_that_have_retired_stay_with_their_date() -> None:
    old = load_catalog("deepseek").get("deepseek-chat")
    assert old is not None
    assert old.retires == "2026-07-24"
    # and may be asked for: whether it still answers is for the provider to say
    adapter = tercet.ProviderRegistry().adapter("deepseek", keys="a-key-of-sixteen")
    adapter.chat(tercet.ChatRequest("x", "hello"), "deepseek-chat", stream=False)


def test_the_price_is_that_of_the_prompts_tier() -> None:
    model = load_catalog("qwen-code").get("qwen3-coder-plus")
    assert model is not None
    assert [tier.above for tier in model.prices] == [0, 32_000, 128_000, 256_000]
    for tokens, tier in ((1, 0), (32_000, 0), (32_001, 1), (200_000, 2), (900_000, 3)):
        price = model.prices[tier].input
        assert price is not None
        assert cost(tercet.Usage(tokens, 0), model.prices) == pytest.approx(tokens * price / 1e6)


def test_cached_tokens_are_charged_once_at_their_own_price() -> None:
    prices = (tercet.Prices(input=2.0, output=8.0, cache_read=0.5, cache_write=2.5),)
    used = tercet.Usage(1000, 100, cache_read_tokens=600, cache_write_tokens=100)
    assert cost(used, prices) == pytest.approx((300 * 2 + 600 * 0.5 + 100 * 2.5 + 100 * 8) / 1e6)
    assert cost(used, (tercet.Prices(input=2.0, output=8.0),)) == pytest.approx((1000 * 2 + 100 * 8) / 1e6)
    assert cost(used, (tercet.Prices(input=2.0),)) is None
    assert cost(used, ()) is None


def test_dialects_are_refused_by_field_and_by_type() -> None:
    with pytest.raises(tercet.ConfigurationError, match="no field 'colour'"):
        make_wire("openai_chat", {"colour": "red"})
    with pytest.raises(tercet.ConfigurationError, match="stream_options"):
        make_wire("openai_chat", {"stream_options": "yes"})
    with pytest.raises(tercet.ConfigurationError, match="there is no wire 'smoke'"):
        make_wire("smoke", {})
