"""``tercet providers --markdown``: the table that the README shows; ``tercet models``: who has retired."""

from __future__ import annotations

import pytest

import tercet
from tercet.adapters.offers import offers
from tercet.cli import main


def test_the_table_has_a_line_for_each_offer_and_nothing_of_this_machine(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["providers", "--markdown"]) == 0
    shown = capsys.readouterr().out
    lines = [line for line in shown.splitlines() if line.startswith("| `")]
    everything = [offer for profile in tercet.ProviderRegistry() for offer in offers(profile)]
    assert len(lines) == len(everything)
    columns = shown.splitlines()[0].count("|")
    for line, offer in zip(lines, everything, strict=True):
        assert line.startswith(f"| `{offer.provider}:{offer.door}`")
        assert line.count("|") == columns
        offered = tercet.ProviderRegistry().get(offer.provider).capabilities
        more = (not offered.prompt_caching) + (not offered.citations)
        assert line.count(" - |") == len(set(offer.missing) - {"tool deltas"}) + more
    for offer in everything:
        for cell, why in offer.missing.items():
            assert cell == "tool deltas" or f"- `{offer.name}`, {cell}: {why}" in shown
    monkeypatch.setenv("GROQ_API_KEY", "a-key-of-sixteen")
    assert main(["providers", "--markdown"]) == 0
    assert capsys.readouterr().out == shown


def test_a_model_that_has_retired_is_shown_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "deepseek"]) == 0
    [line] = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith("deepseek:deepseek-chat ")
    ]
    assert line.endswith("retired 2026-07-24")


def test_a_shared_catalog_is_listed_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert len(set(listed)) == len(listed)
    assert "openai:gpt-5.1" in listed
    assert not any(name.startswith("azure") for name in listed)
    assert main(["models", "azure"]) == 0
    assert "azure:gpt-5.1 " in capsys.readouterr().out
