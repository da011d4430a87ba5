"""The manager for programs that do not run trio."""

from __future__ import annotations

import threading

import pytest

import tercet
from tercet import blocking


def test_a_script_chats_and_streams() -> None:
    with blocking.open_manager(environ={}) as manager:
        assert manager.chat(tercet.ChatRequest("simulated:echo", "one two")).text == "one two"
        assert manager.complete(tercet.CompletionRequest("simulated:echo", "a prompt")).text == "a prompt"
        with manager.chat_stream(tercet.ChatRequest("simulated:echo", "one two three")) as stream:
            assert list(stream.text()) == ["one", " two", " three"]
        with manager.chat_stream(tercet.ChatRequest("simulated:echo", "one two three")) as stream:
            assert stream.collect().text == "one two three"
        with manager.chat_stream(tercet.ChatRequest("simulated:cut", "x")) as stream:
            with pytest.raises(tercet.StreamInterruptedError):
                list(stream)
            assert stream.response.text
        with manager.chat_stream(tercet.ChatRequest("simulated:lorem", "x")) as stream:
            next(iter(stream))
        assert manager.health_check("simulated").is_healthy
        assert "echo" in [model.id for model in manager.list_models("simulated")]
        assert manager.count_tokens(tercet.ChatRequest("simulated:echo", "x")).tokens > 0
        with pytest.raises(tercet.ConfigurationError):
            manager.chat(tercet.ChatRequest("nobody:nothing", "x"))


def test_several_threads_share_a_manager() -> None:
    answers: list[str] = []
    with blocking.open_manager(environ={}) as manager:

        def one(number: int) -> None:
            answers.append(manager.chat(tercet.ChatRequest("simulated:echo", f"number {number}")).text)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answers) == [f"number {number}" for number in range(8)]
