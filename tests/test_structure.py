"""The rooms of the package: what imports what, how much is at the top, and what an import costs."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import sonikeras

PACKAGE = Path(sonikeras.__file__).parent
ROOMS = [
    "config",
    "sources",
    "signal",
    "transmission",
    "layers",
    "datasets",
    "preparation",
    "models",
    "training",
    "evaluation",
    "reporting",
    "cli",
]


def modules() -> dict[str, ast.Module]:
    """The syntax trees of all modules below the top level, by their dotted names."""
    trees = {}
    for path in sorted(PACKAGE.glob("*/**/*.py")):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        trees[name.removesuffix(".__init__")] = ast.parse(path.read_text("utf-8"))
    return trees


MODULES = modules()


def imported(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Modules of the package that some statements import; a room's lazy names stand for the modules they are in."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith("sonikeras"))
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "sonikeras":
            for each in node.names:
                yield home(node.module, each.name)


def home(module: str, name: str) -> str:
    if f"{module}.{name}" in MODULES:
        return f"{module}.{name}"
    stub = PACKAGE.joinpath(*module.split(".")[1:], "__init__.pyi")
    if stub.exists():
        for node in ast.parse(stub.read_text("utf-8")).body:
            if isinstance(node, ast.ImportFrom) and name in {each.name for each in node.names}:
                return f"{module}.{node.module}"
    return module


def at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """The statements that run when a module is imported."""
    for node in ast.iter_child_nodes(tree):
        is_for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not is_for_types:
            yield node
            yield from at_import(node)


def test_entries_at_the_top():
    entries = {path.name for path in PACKAGE.iterdir()} - {"__pycache__", "py.typed"}
    assert entries == {"__init__.py", "__main__.py", *ROOMS}
    assert len(entries) <= 14


@pytest.mark.parametrize("name", MODULES)
def test_imports_follow_the_order_of_the_rooms(name):
    """Also within functions: no room knows of one that comes after it."""
    room = name.split(".")[1]
    if room == "cli" or name == "sonikeras.config._imports":
        return
    for other in imported(ast.walk(MODULES[name])):
        assert other != "sonikeras", "imports the top level, which knows of all rooms"
        assert ROOMS.index(other.split(".")[1]) <= ROOMS.index(room), f"{name} imports {other}"


def test_no_circle():
    graph = {name: set(imported(at_import(tree))) - {name} for name, tree in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"circle of imports: {' -> '.join(error.args[1])}")


def run(script: str) -> None:
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_import_needs_neither_keras_nor_tensorflow():
    run(
        "import sonikeras, sys\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'torch', 'numba', 'librosa', 'matplotlib', 'sklearn'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )


@pytest.mark.slow
@pytest.mark.parametrize("room", ROOMS)
def test_each_room_can_be_the_first_import(room):
    """With all of its public names, in a process that has imported nothing of the package."""
    run(
        f"import importlib\nroom = importlib.import_module('sonikeras.{room}')\n"
        "for name in getattr(room, '__all__', []): getattr(room, name)"
    )


def test_public_functions_hide_no_module():
    importable = {*MODULES, *(f"sonikeras.{room}" for room in ROOMS)}
    for name in sonikeras.__all__:
        if callable(getattr(sonikeras, name)):
            assert f"sonikeras.{name}" not in importable
    for room in ROOMS:
        module = importlib.import_module(f"sonikeras.{room}")
        for name in getattr(module, "__all__", []):
            if callable(getattr(module, name)):
                assert f"sonikeras.{room}.{name}" not in importable, f"{room}: {name} is a function and a module"
