"""The rooms of the package lie in one line: a module imports from its own room, from lower ones and from the leaves."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import bayes_obscaling

PACKAGE = Path(bayes_obscaling.__file__).parent
# Lowest first; rooms of one tuple do not import each other.
LINE = (
    ("checks", "errors", "lazy"),
    ("files", "progress"),
    ("data",),
    ("models",),
    ("results",),
    ("inference",),
    ("analyses",),
    ("evaluation",),
    ("plots", "design", "pages"),
    ("validation",),
    ("verbs", "ask"),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(LINE) for room in rooms}
# Conveniences of results that reach up: they import when they are called.
REACHES_UP = {"plot", "plots", "save"}
# Module and what it may import though that lies above it, with the reason.
EXCEPTIONS: dict[tuple[str, str], str] = {}
MOST_LINES, MOST_CODE = 400, 60

MODULES = {
    ".".join(("bayes_obscaling", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports_of(module: str, *, when_called: bool) -> Iterator[str]:
    """Modules of the package that a module imports; those inside functions as well, if `when_called`."""
    waiting: list[ast.AST] = [tree_of(module)]
    while waiting:
        node = waiting.pop()
        if is_type_checking(node):
            continue
        if isinstance(node, ast.FunctionDef) and (not when_called or node.name in REACHES_UP):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: import by full name"
            if node.module in MODULES:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield inner if inner in MODULES else str(node.module)
        waiting.extend(ast.iter_child_nodes(node))


def room_of(module: str) -> str:
    return [*module.split("."), ""][1]


@pytest.mark.parametrize("room", [room for room in LEVEL if room not in ("verbs", "ask")])
def test_rooms_lie_in_one_line(room: str):
    wrong = []
    for module in MODULES:
        if room_of(module) != room:
            continue
        for other in set(imports_of(module, when_called=True)):
            there = room_of(other)
            is_allowed = there == room or LEVEL.get(there, len(LINE)) < LEVEL[room]
            if not is_allowed and (module, other) not in EXCEPTIONS:
                wrong.append(f"{module} imports {other}")
    assert not wrong, "\n".join(sorted(wrong))


def test_every_module_has_a_room():
    assert {room_of(module) for module in MODULES} <= {*LEVEL, "", "__main__"}


def test_exceptions_are_still_needed():
    for module, other in EXCEPTIONS:
        assert other in imports_of(module, when_called=True), f"{module} does not import {other} any more"


def test_no_module_waits_for_itself_at_import():
    """What is imported when a module is imported forms no cycle; packages are imported before their modules."""
    graph = {
        module: {other for other in imports_of(module, when_called=False) if other != module} for module in MODULES
    }
    for module in MODULES:
        for other in list(graph[module]):
            while "." in other:
                other = other.rpartition(".")[0]
                if other != module and not module.startswith(f"{other}."):
                    graph[module].add(other)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_no_module_is_long():
    lengths = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert {module: length for module, length in lengths.items() if length > MOST_LINES} == {}


def code_lines(source: str) -> set[int]:
    """Numbers of the lines that hold code: no blank lines, no comments."""
    empty = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {line for token in tokens if token.type not in empty for line in range(token.start[0], token.end[0] + 1)}


def docstring_lines(node: ast.AST) -> set[int]:
    """Numbers of the lines of docstrings inside a node."""
    found: set[int] = set()
    for inner in ast.walk(node):
        if isinstance(inner, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(inner, clean=False) is not None:
            found |= set(range(inner.body[0].lineno, (inner.body[0].end_lineno or 0) + 1))
    return found


def test_no_function_is_long_without_a_reason():
    """60 lines of code, docstrings not counted; more need a comment ``# long: reason`` at or above the ``def``."""
    long = {}
    for module, path in MODULES.items():
        source = path.read_text()
        lines, code = ["", *source.splitlines()], code_lines(source)
        for node in ast.walk(tree_of(module)):
            if not isinstance(node, ast.FunctionDef):
                continue
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            size = len(code & set(range(node.lineno, (node.end_lineno or 0) + 1)) - docstring_lines(node))
            has_reason = any("# long: " in lines[at] for at in (first - 1, node.lineno - 1, node.lineno))
            if size > MOST_CODE and not has_reason:
                long[f"{module}.{node.name}"] = size
    assert long == {}


def test_lines_of_code_are_counted_without_docstrings_and_comments():
    source = '''def f(
    x,
):
    """Text.

    More.
    """
    # nothing

    return [
        x,
    ]
'''
    node = ast.parse(source).body[0]
    assert len(code_lines(source) - docstring_lines(node)) == 6
