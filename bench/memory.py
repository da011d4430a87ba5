"""P5 and P8: what the package and its objects take. Every figure is made in a fresh process, so that none sees another's garbage."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from .measure import Figure, single

_RSS = """
import gc, json, os, resource, sys, time
def rss():
    gc.collect()
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
"""

_PROVIDERS = (
    _RSS
    + """
import tracemalloc
import tercet, tercet.engine, tercet.engine.runtime, tercet.adapters
from tercet.adapters.registry import ProviderRegistry
from tercet.adapters.wires import make_wire
from tercet.cli.bench_server import EVENT
from tercet.codecs.vocabulary import TercetError

def use(registry):
    adapters = []
    for profile in registry:
        needed = {name: "x" for name in profile.settings} if profile.settings else {}
        try:
            adapter = registry.adapter(profile.id, environ=dict.fromkeys(profile.key_env, "k"))
            adapter.chat(tercet.ChatRequest("x:m", "Hello."), "m", stream=True)
            adapter.processor("m")
        except TercetError:
            continue
        adapters.append(adapter)
    return adapters

import importlib
from tercet.adapters import wires
for module, _ in wires.WIRES.values():  # code, not providers; the catalogs are read by those who are used, and counted
    importlib.import_module(module)
if sys.argv[1:] == ["objects"]:
    tracemalloc.start()
before = rss()
registry = ProviderRegistry()
adapters = use(registry)
after = rss()
held = tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else 0
print(json.dumps({"rss": after - before, "objects": held, "count": len(adapters), "rows": len(list(registry))}))
"""
)

_TOKENS = (
    _RSS
    + """
import trio, tercet
from bench.inside import HEAD, PARTS, REQUEST, InsideNetwork, chunk, drink, registry

piece = chunk(PARTS["token"] * 20)
def answer():
    yield HEAD + piece
    for _ in range(499):
        yield piece
    yield chunk(PARTS["last"]) + b"0\\r\\n\\r\\n"

async def main():
    async with tercet.open_manager(registry(), environ={}, network=InsideNetwork(answer)) as manager:
        for _ in range(20):
            await drink(manager)
        memory, blocks, count = rss(), sys.getallocatedblocks(), 0
        while count < 2_000_000:
            count += await drink(manager)
        gc.collect()
        told = {"blocks": (sys.getallocatedblocks() - blocks) / count, "bytes": (rss() - memory) / count}
        # within one stream that is still open: what its answer-so-far holds
        async with manager.chat_stream(REQUEST) as stream:
            async for _ in stream:
                break
            gc.collect()
            blocks, count = sys.getallocatedblocks(), 0
            async for _ in stream:
                count += 1
                if count == 9000:
                    break
            gc.collect()
            told["open"] = (sys.getallocatedblocks() - blocks) / count
        print(json.dumps(told))

trio.run(main)
"""
)

_IMPORT = """
import json, resource, sys, time
started = time.process_time()
{imports}
cpu = time.process_time() - started
memory = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
print(json.dumps({{"cpu": cpu, "rss": memory, "modules": len(sys.modules),
    "unwanted": [name for name in ("asyncio", "httpx", "anyio", "tercet.adapters.catalog.data") if name in sys.modules]}}))
"""
IMPORTS = {
    "ours": "import tercet\ntercet.open_manager\ntercet.SseDecoder",
    "theirs": "import trio, msgspec, ssl",
    "theirs with the parser": "import trio, msgspec, ssl, h11, httptools",
}


def fresh(program: str, *words: str) -> dict[str, Any]:
    """Run a program that prints JSON, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().rpartition("\n")[2])
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def run() -> list[Figure]:
    """P5: providers, tokens, buffers."""
    providers, traced = fresh(_PROVIDERS), fresh(_PROVIDERS, "objects")  # tracing costs memory itself
    told = fresh(_TOKENS)
    name = f"{providers['count']} providers registered and used once"
    return [
        single(
            "memory",
            f"{name}: resident",
            providers["rss"] / 1024,
            "KiB",
            f"of {providers['rows']} rows; catalogs included",
        ),
        single("memory", f"{name}: Python's objects", traced["objects"] / 1024, "KiB", "tracemalloc"),
        single("memory", "blocks kept a token, over 2 M tokens", told["blocks"], "blocks"),
        single("memory", "resident growth a token, over 2 M tokens", told["bytes"], "bytes"),
        single(
            "memory",
            "blocks an open stream keeps a token",
            told["open"],
            "blocks",
            "its answer so far, of one run",
        ),
        single("memory", "read buffers, all connections together", _buffers() / 1024, "KiB"),
    ]


def _buffers() -> int:
    from tercet.engine.runtime.transport.network import READ_BUFFER

    return READ_BUFFER


def imports(rounds: int) -> list[Figure]:
    """P8: ``import tercet`` and the engine, beside what it stands on."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in IMPORTS}
    for _ in range(max(rounds, 5)):
        for name, lines in IMPORTS.items():
            found[name].append(fresh(_IMPORT.format(imports=lines)))
    figures: list[Figure] = []
    for name, label in (
        ("ours", "import tercet and its engine"),
        ("theirs", "import trio, msgspec, ssl"),
        ("theirs with the parser", "import trio, msgspec, ssl, h11, httptools"),
    ):
        cpu = sorted(told["cpu"] for told in found[name])
        memory = sorted(told["rss"] for told in found[name])
        ours_cpu = sorted(told["cpu"] for told in found["ours"])
        note = f"{found[name][0]['modules']} modules"
        if found[name][0]["unwanted"]:
            note += f", among them {', '.join(found[name][0]['unwanted'])}"
        middle = len(cpu) // 2
        figure = single("import", label, cpu[middle] * 1000, "ms", note)
        figure.low, figure.high = cpu[0] * 1000, cpu[-1] * 1000
        if name != "ours":
            figure.ratio = cpu[middle] / ours_cpu[middle]
        figures.append(figure)
        figures.append(single("import", f"{label}: resident", memory[middle] / 2**20, "MiB"))
    return figures
