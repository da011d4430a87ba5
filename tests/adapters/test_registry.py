"""The registry: a program's own providers, in Python or TOML; model names; keys from where they should come and nowhere else."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio.testing

import tercet
from tercet.adapters.registry import split_model
from tercet.testing import MemoryNetwork, SimulatedProvider, call_tool, fail, say, think_then

KEY = "a-key-of-sixteen"


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


# A provider of one's own ----------------------------------------------------------------------------------------------------


def add_acme(registry: tercet.ProviderRegistry) -> None:
    registry.add(
        tercet.Profile(
            id="acme",
            base_url="https://llm.acme.test/v1",
            key_env=("ACME_KEY",),
            dialect={"max_tokens_field": "max_tokens", "reasoning_fields": ("reasoning",)},
        )
    )


TOML = """[acme]
base_url = "https://llm.acme.test/v1"
key_env = ["ACME_KEY"]"""


@asynccontextmanager
async def acme_running(
    registry: tercet.ProviderRegistry, provider: SimulatedProvider
) -> AsyncGenerator[tercet.ProviderManager, None]:
    async with MemoryNetwork() as network:
        network.serve("https://llm.acme.test", provider.serve)
        async with tercet.open_manager(
            registry, environ={"ACME_KEY": KEY}, network=network, random=lambda: 0.5
        ) as manager:
            yield manager


def simulated_acme(*answers: object) -> SimulatedProvider:
    return SimulatedProvider("acme", "openai_chat", list(answers), keys={KEY}, models=("acme-1",))


def test_a_provider_is_a_row_of_less_than_ten_lines() -> None:
    lines = inspect.getsource(add_acme).splitlines()[1:]
    assert len(lines) < 10
    assert len(TOML.splitlines()) == 3


async def test_a_row_added_in_python_works_from_end_to_end(autojump_clock: object) -> None:
    registry = tercet.ProviderRegistry()
    add_acme(registry)
    weather = tercet.Tool("weather", "The weather.")
    provider = simulated_acme(
        say("one two"), call_tool("weather", {"town": "Ghent"}), fail(503), say("again")
    )
    async with acme_running(registry, provider) as manager:
        async with manager.chat_stream(tercet.ChatRequest("acme:acme-1", "hello", max_tokens=9)) as stream:
            assert "".join([text async for text in stream.text()]) == "one two"
        assert provider.requests[-1].target == "/v1/chat/completions"
        assert provider.chats[-1].max_tokens == 9
        answer = await manager.chat(tercet.ChatRequest("acme:acme-1", "hello", tools=(weather,)))
        assert [call.name for call in answer.tool_calls] == ["weather"]
        assert (
            await manager.chat(tercet.ChatRequest("acme/acme-1", "hello"))
        ).text == "again"  # after a retry
        assert [model.id for model in await manager.list_models("acme")] == ["acme-1"]
        assert (await manager.health_check("acme")).is_healthy
        assert set(manager.statistics()) == {"acme"}


async def test_three_lines_of_toml_work_from_end_to_end(autojump_clock: object) -> None:
    registry = tercet.ProviderRegistry([])
    [added] = registry.load_toml(TOML)
    assert (added.id, added.wire, added.key_required) == ("acme", "openai_chat", True)
    provider = simulated_acme(think_then("yes", "let me see"), say("failed over"))
    async with acme_running(registry, provider) as manager:
        answer = await manager.chat(tercet.ChatRequest("acme:acme-1", "hello"))
        assert (answer.reasoning, answer.text, answer.provider) == ("let me see", "yes", "acme")
        with pytest.raises(tercet.NotFoundError):
            await manager.chat(tercet.ChatRequest("acme:acme-2", "hello"))


# TOML -----------------------------------------------------------------------------------------------------------------------


def test_a_table_of_a_known_provider_changes_only_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    file.write_text(
        '[groq]\nbase_url = "https://proxy.acme.test/groq"\n[vertex]\nsettings = {project = "acme-llm"}\n',
        encoding="utf-8",
    )
    registry = tercet.ProviderRegistry()
    before = registry.get("groq")
    registry.load_toml(file)
    after = registry.get("groq")
    assert after.base_url == "https://proxy.acme.test/groq"
    assert (tuple(after.key_env), after.docs, after.default_model) == (
        before.key_env,
        before.docs,
        before.default_model,
    )
    vertex = registry.adapter("vertex", keys=KEY)
    assert vertex.origin.host == "aiplatform.googleapis.com"  # the row's location stayed
    claude = vertex.chat(tercet.ChatRequest("x", "hello"), "claude-sonnet-5", stream=True)
    assert "/projects/acme-llm/" in claude.target  # and so did its doors


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("acme = 1", "outside a table"),
        ("[acme", "not TOML"),
        ("[acme]\n", "base_url"),
        ('[acme]\nbase_url = "https://a.test"\ncolour = "red"', "colour"),
        ('[acme]\nbase_url = "ftp://a.test"', "https://"),
        ('[acme]\nbase_url = "https://user:pass@a.test"', "no user or password"),
        ('[acme]\nbase_url = "https://a.test"\nwire = "smoke"', "no wire 'smoke'"),
        ('[acme]\nbase_url = "https://a.test"\ndialect = {colour = "red"}', "no field 'colour'"),
        ('[Acme]\nbase_url = "https://a.test"', "lower-case"),
    ],
)
def test_a_wrong_table_is_refused_with_what_is_wrong(text: str, complaint: str) -> None:
    registry = tercet.ProviderRegistry([])
    with pytest.raises(tercet.ConfigurationError) as raised:
        registry.load_toml(text)
    assert complaint in raised.value.message
    assert "pass@" not in str(raised.value)
    assert len(registry) == 0


def test_an_id_is_taken_once_unless_the_row_is_to_be_replaced() -> None:
    registry = tercet.ProviderRegistry()
    row = tercet.Profile(id="groq", base_url="https://a.test")
    with pytest.raises(tercet.ConfigurationError, match="replace=True"):
        registry.add(row)
    registry.add(row, replace=True)
    assert registry.get("groq") is row
    assert tercet.ProviderRegistry().get("groq") is not row


# Names ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("openai:gpt-5.1", ("openai", "gpt-5.1")),
        ("openrouter:anthropic/claude:beta", ("openrouter", "anthropic/claude:beta")),
        ("openrouter/anthropic/claude", ("openrouter", "anthropic/claude")),
        ("huggingface:org/m:fastest", ("huggingface", "org/m:fastest")),
        ("openai:", ("openai", "gpt-5.1")),
        ("openai", ("openai", "gpt-5.1")),
        ("fireworks:accounts/fireworks/models/m", ("fireworks", "accounts/fireworks/models/m")),
    ],
)
def test_a_name_is_a_provider_and_its_model(name: str, target: tuple[str, str]) -> None:
    assert split_model(name, tercet.ProviderRegistry()) == target


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("opena:gpt-5", "did you mean openai"),
        ("gpt-5.1", "provider:model"),
        ("azure:", "no default one"),
        ("zzzz:x", "there are"),
    ],
)
def test_a_wrong_name_says_how_it_should_be(name: str, hint: str) -> None:
    with pytest.raises(tercet.ConfigurationError, match=hint):
        split_model(name, tercet.ProviderRegistry())


# Keys and addresses ---------------------------------------------------------------------------------------------------------


def test_nothing_is_read_from_the_environment_unless_it_is_handed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    with pytest.raises(tercet.ConfigurationError, match="GROQ_API_KEY"):
        tercet.ProviderRegistry().adapter("groq")


def test_the_first_variable_that_is_set_and_not_blank_holds_the_key() -> None:
    registry = tercet.ProviderRegistry()
    environ = {"GOOGLE_API_KEY": "  ", "GEMINI_API_KEY": KEY}
    [key] = registry.adapter("gemini", environ=environ).keys
    assert key.source == "GEMINI_API_KEY"
    assert KEY not in repr(key)
    [given] = registry.adapter("gemini", environ=environ, keys="another-key-123").keys
    assert given.source == "argument"


def test_a_local_server_needs_no_key() -> None:
    for provider in ("lm-studio", "litellm", "ollama"):
        assert tercet.ProviderRegistry().adapter(provider, environ={}).keys == ()


def test_addresses_from_the_environment() -> None:
    registry = tercet.ProviderRegistry()
    proxy = registry.adapter("litellm", environ={"LITELLM_PROXY_API_BASE": "https://llm.acme.test/proxy/"})
    assert proxy.base_url == "https://llm.acme.test/proxy"
    given = registry.adapter(
        "litellm", environ={"LITELLM_PROXY_API_BASE": "https://x.test"}, base_url="https://y.test"
    )
    assert given.base_url == "https://y.test"


@pytest.mark.parametrize("key", ["with space", "line\nend", "typo\u201cgraphic"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(tercet.ConfigurationError) as raised:
        tercet.ProviderRegistry().adapter("groq", keys=key)
    assert key not in str(raised.value)
