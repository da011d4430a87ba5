"""The command line: ``tercet chat | providers | models | doctor | demo | parity``.

This module only knows the words; each command's module is imported when it is asked for, so ``--help`` imports neither trio nor
msgspec. Exit codes: 0 it worked; 1 a provider or the network failed; 2 the request or the configuration is wrong; 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

__all__ = ["main"]

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tercet", description="Talk to LLM providers through tercet's engine.", allow_abbrev=False
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    def command(name: str, summary: str, description: str = "") -> argparse.ArgumentParser:
        added = commands.add_parser(
            name,
            help=summary,
            description=description or summary[0].upper() + summary[1:] + ".",
            allow_abbrev=False,
        )
        added.add_argument("--json", action="store_true", help="print JSON instead of text")
        return added

    demo = command(
        "demo",
        "stream from three simulated providers at once, one of which fails half-way",
        "Start simulated providers on 127.0.0.1, stream from them over three wire formats, let one fail half-way and another "
        "take over. Needs no key and no network; takes a few seconds.",
    )
    demo.add_argument("--plain", action="store_true", help="plain lines even on a terminal")
    demo.add_argument(
        "--all",
        action="store_true",
        help="instead: every provider of the table, simulated in its own dialect, streaming at once",
    )
    demo.add_argument(
        "--chaos",
        type=int,
        metavar="SEED",
        help="instead: a minute of traffic with random faults, in virtual time; the same seed, the same minute",
    )

    chat = command("chat", "ask a question and stream the answer")
    chat.add_argument("question", help="the question; '-' reads it from standard input")
    chat.add_argument(
        "-m",
        "--model",
        help="provider:model, such as openai:gpt-5.1; without it the first provider with a key is asked",
    )
    chat.add_argument("-s", "--system", help="a system prompt")
    chat.add_argument(
        "--fallback", action="append", default=[], metavar="MODEL", help="asked when the model before fails"
    )
    chat.add_argument("--max-tokens", type=int, metavar="N", help="the longest answer, in tokens")
    chat.add_argument(
        "--reasoning", action="store_true", help="show the reasoning, too (dimmed, on standard error)"
    )
    chat.add_argument("--base-url", metavar="URL", help="another address for the model's provider")

    providers = command("providers", "list the providers and which of them have a key")
    providers.add_argument(
        "--markdown", action="store_true", help="print what each offers, as a table in Markdown"
    )

    models = command(
        "models", "list the models that are known beforehand, or those that a provider offers now"
    )
    models.add_argument("provider", nargs="?", help="only this provider's")
    models.add_argument("--live", action="store_true", help="ask the provider itself (needs its key)")

    doctor = command("doctor", "look for keys, hosts, clock and TLS, and say what is wrong")
    doctor.add_argument("provider", nargs="*", help="only these providers (default: those with a key)")
    doctor.add_argument("--offline", action="store_true", help="look at the configuration only, send nothing")

    parity = command("parity", "replay recordings of the TypeScript reference and compare")
    parity.add_argument("directory", help="the folder of recordings")
    parity.add_argument(
        "--recut", action="store_true", help="again with every stream cut at 1 byte, 7 bytes and at random"
    )
    bench = command("bench", "measure what the engine costs on this machine, beside its goals")
    bench.add_argument("suite", choices=["dispatch", "tokens", "sse", "memory"], help="what to measure")
    return parser


_MODULES = {
    "demo": ".demo",
    "chat": ".chat",
    "providers": ".listing",
    "models": ".listing",
    "doctor": ".doctor",
    "parity": ".parity",
    "bench": ".bench",
}


def _module_for(options: argparse.Namespace) -> str:
    if options.command == "demo" and options.all:
        return ".demo_all"
    if options.command == "demo" and options.chaos is not None:
        return ".chaos"
    return _MODULES[options.command]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Ctrl-C gives 130 and no traceback, a closed pipe ends quietly."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.version:
        from importlib.metadata import version

        print("tercet", version("tercet"))
        return OK
    if options.command is None:
        parser.print_help()
        return USAGE
    try:
        run = import_module(_module_for(options), __name__).run
        code: int = run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BaseExceptionGroup as group:  # a nursery's way to say that Ctrl-C came while it had tasks
        if group.split(KeyboardInterrupt)[1] is not None:
            raise
        return INTERRUPTED
    except BrokenPipeError:
        # the reader has gone (`tercet models | head`): give the interpreter nothing to flush into it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return code
