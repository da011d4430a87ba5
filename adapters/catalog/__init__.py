"""Facts about models, as data files with their source and date, one file a provider, read when first asked for.

An entry whose id ends in ``*`` stands for every id that begins so; an exact entry wins over it, and a longer one over a shorter.
``in_front`` of a file is a regular expression of what may stand in front of an id without changing the model: a region (``eu.``), an ARN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources

import msgspec

from tercet.codecs.vocabulary import Model, Prices, Usage

__all__ = ["Catalog", "cost", "load_catalog"]


class _File(msgspec.Struct):
    source: str
    as_of: str
    models: list[Model]
    in_front: str = ""


class Catalog:
    """The models of one provider that are known beforehand."""

    def __init__(self, models: Sequence[Model] = (), *, in_front: str = "") -> None:
        self._in_front = re.compile(in_front)
        self._exact: Mapping[str, Model] = {model.id: model for model in models if not model.id.endswith("*")}
        self._prefixes = sorted(
            (model for model in models if model.id.endswith("*")), key=lambda m: -len(m.id)
        )

    def __iter__(self) -> Iterator[Model]:
        return iter(self._exact.values())

    def __len__(self) -> int:
        return len(self._exact)

    def get(self, model_id: str) -> Model | None:
        """What is known of a model, or None."""
        model = self._exact.get(model_id)
        if model is not None:
            return model
        for pattern in self._prefixes:
            if model_id.startswith(pattern.id[:-1]):
                return msgspec.structs.replace(pattern, id=model_id)
        found = self._in_front.match(model_id)
        if found is None or not found[0]:
            return None
        model = self.get(model_id[found.end() :])
        return None if model is None else msgspec.structs.replace(model, id=model_id)


@cache
def load_catalog(name: str) -> Catalog:
    """The catalog file of that name; an empty catalog if there is none."""
    file = resources.files(__name__).joinpath(f"{name}.json")
    if not file.is_file():
        return Catalog()
    facts = msgspec.json.decode(file.read_bytes(), type=_File)
    stamp = msgspec.structs.replace
    return Catalog(
        [stamp(m, provider=name, source=m.source or facts.source, as_of=facts.as_of) for m in facts.models],
        in_front=facts.in_front,
    )


def cost(usage: Usage, prices: Sequence[Prices]) -> float | None:
    """What ``usage`` costs in US dollars, or None where a price that is needed is unknown.

    The tier is chosen by the whole prompt's length. Cached tokens are charged once, at their own price (at the input price where
    no cache price is known).
    """
    tier: Prices | None = None
    for candidate in prices:
        if usage.input_tokens > candidate.above or candidate.above == 0:
            tier = candidate
    if tier is None or tier.input is None or tier.output is None:
        return None
    read, write = usage.cache_read_tokens, usage.cache_write_tokens
    fresh = max(0, usage.input_tokens - read - write)
    total = fresh * tier.input + usage.output_tokens * tier.output
    total += read * (tier.input if tier.cache_read is None else tier.cache_read)
    total += write * (tier.input if tier.cache_write is None else tier.cache_write)
    return total / 1e6
