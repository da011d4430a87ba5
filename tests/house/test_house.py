"""The house stays as it is drawn: imports go down only, names are what they are said to be, the wheel is the tree."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAPPING: dict[str, str] = PROJECT["tool"]["setuptools"]["package-dir"]
PACKAGES: list[str] = PROJECT["tool"]["setuptools"]["packages"]


def folder_of(package: str) -> Path:
    """Where a package's modules lie, by the longest prefix of the mapping."""
    prefix = max((name for name in MAPPING if package == name or package.startswith(name + ".")), key=len)
    rest = package[len(prefix) :].strip(".").replace(".", "/")
    return ROOT / MAPPING[prefix] / rest


def modules() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for path in sorted(folder_of(package).glob("*.py")):
            yield package if path.stem == "__init__" else f"{package}.{path.stem}", path


def imports_of(path: Path, package: str) -> Iterator[str]:
    """Every module that a file imports, relative imports resolved."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            yield ".".join([*base, *([node.module] if node.module else [])])


def floor_of(module: str) -> int:
    floors = {"codecs": 0, "adapters": 1, "engine": 2}
    parts = module.split(".")
    return floors.get(parts[1], 3) if len(parts) > 1 else 3


def test_imports_go_down_only() -> None:
    wrong: list[str] = []
    for module, path in modules():
        package = module if path.stem == "__init__" else module.rpartition(".")[0]
        for imported in imports_of(path, package):
            if imported.partition(".")[0] == "tercet" and floor_of(imported) > floor_of(module):
                wrong.append(f"{path.relative_to(ROOT)} imports {imported}")
    assert wrong == []


def test_the_ground_floors_are_pure() -> None:
    """No waiting, no clock, no environment in codecs and adapters, nor in engine/control."""
    forbidden = {
        "trio",
        "anyio",
        "asyncio",
        "time",
        "socket",
        "ssl",
        "os",
        "random",
        "httpx",
        "threading",
        "secrets",
    }
    wrong: list[str] = []
    for module, path in modules():
        if not (floor_of(module) < 2 or module.startswith("tercet.engine.control")):
            continue
        package = module if path.stem == "__init__" else module.rpartition(".")[0]
        for imported in imports_of(path, package):
            if imported.partition(".")[0] in forbidden:
                wrong.append(f"{path.relative_to(ROOT)} imports {imported}")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} waits")
    assert wrong == []


def test_httpx_is_imported_by_one_module_only() -> None:
    importing = {
        str(path.relative_to(ROOT))
        for module, path in modules()
        for imported in imports_of(path, module.rpartition(".")[0])
        if imported.partition(".")[0] == "httpx" and "TYPE_CHECKING" not in path.read_text()
    }
    assert importing <= {"engine/runtime/transport/httpx_bridge.py"}


def test_every_package_on_disk_is_in_the_list() -> None:
    on_disk: set[str] = set()
    for package, folder in MAPPING.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            rest = init.parent.relative_to(ROOT / folder).parts
            if "__pycache__" in rest or (package == "tercet.engine" and rest[:1] == ("face",)):
                continue
            on_disk.add(".".join([package, *rest]))
    assert on_disk == set(PACKAGES)


def test_the_face_shows_what_it_says() -> None:
    """``__all__``, the lazy table and the imports for type checkers name the same things, and each of them is there."""
    tercet = importlib.import_module("tercet")
    tree = ast.parse((ROOT / "engine/face/__init__.py").read_text())
    shown = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tercet.")
        for alias in node.names
    }
    lazy = {f"{module}.{name}" for module, names in tercet._HOMES.items() for name in names.split()}
    assert shown == lazy
    assert set(tercet.__all__) == {name.rpartition(".")[2] for name in lazy} | {"__version__"}
    for name in tercet.__all__:
        assert getattr(tercet, name) is not None


def test_packages_say_what_they_export() -> None:
    """What a package's ``__init__`` re-exports is what its modules call public, or less."""
    wrong: list[str] = []
    for package in PACKAGES:
        init = folder_of(package) / "__init__.py"
        for node in ast.parse(init.read_text()).body:
            if not (isinstance(node, ast.ImportFrom) and node.level == 1 and node.module):
                continue
            module = importlib.import_module(f"{package}.{node.module}")
            public = getattr(module, "__all__", None)
            for alias in node.names:
                if alias.asname != alias.name:
                    wrong.append(f"{package}: `{alias.name}` is not re-exported as itself")
                if public is not None and alias.name not in public:
                    wrong.append(f"{package}: {node.module}.__all__ lacks {alias.name}")
    assert wrong == []


def test_importing_is_quiet() -> None:
    """``import tercet`` loads no trio, no httpx, no asyncio and no catalog; the engine loads no httpx and no asyncio."""
    program = (
        "import sys, tercet\n"
        "print(sorted({'trio', 'httpx', 'asyncio', 'msgspec', 'tercet.adapters.catalog'} & set(sys.modules)))\n"
        "tercet.open_manager, tercet.ChatRequest\n"
        "print(sorted({'httpx', 'asyncio', 'h11', 'anyio', 'rich', 'tercet.engine.testing'} & set(sys.modules)))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT / "tests"
    )
    assert told.stdout.splitlines()[0] == "[]"
    assert set(ast.literal_eval(told.stdout.splitlines()[1])) <= {"h11"}


def test_there_are_six_runtime_dependencies() -> None:
    named = {requirement.split(">")[0] for requirement in PROJECT["project"]["dependencies"]}
    assert named == {"trio", "msgspec", "h11", "httptools", "httpx", "anyio"}


@pytest.mark.skipif(
    os.environ.get("TERCET_SKIP_WHEEL") == "1", reason="TERCET_SKIP_WHEEL=1: building takes ten seconds"
)
def test_the_wheel_is_the_tree(tmp_path: Path) -> None:
    """What the wheel contains is what the tree contains: every module of every package, the data files, and nothing else."""
    source = tmp_path / "source"
    subprocess.run(
        ["git", "clone", "-q", "--no-hardlinks", str(ROOT), str(source)], check=True, capture_output=True
    )
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "dist"), str(source)],
        check=True,
        capture_output=True,
        text=True,
    )
    [wheel] = (tmp_path / "dist").glob("*.whl")
    packed = {
        name
        for name in zipfile.ZipFile(wheel).namelist()
        if name.startswith("tercet/") and not name.endswith("/")
    }
    listing = subprocess.run(["git", "ls-files"], cwd=source, check=True, capture_output=True, text=True)
    expected: set[str] = set()
    for package in PACKAGES:
        folder = folder_of(package).relative_to(ROOT).as_posix()
        for name in listing.stdout.splitlines():
            parent, _, file = name.rpartition("/")
            if parent == folder and file.endswith((".py", ".json", "py.typed")):
                expected.add(f"{package.replace('.', '/')}/{file}")
    assert packed == expected
