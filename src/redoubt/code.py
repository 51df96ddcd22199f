"""Which files of the project a module's results may depend on, read from the text of its imports."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import redoubt
from redoubt.bundle.base.io import digest_folder

SRC = Path(redoubt.__file__).parents[1]
TOPS = {"redoubt": SRC, "pipelines": SRC.parent}
# What cannot change a result, modules and packages: neither counted nor followed further.
# The report's mirror in MLflow is no result.
EXEMPT = {
    "pipelines._lock": "mends dvc.lock and rwlock, which are DVC's own",
    "redoubt.data.leftovers": "removes what killed processes left half-written",
    "redoubt.quiet": "keeps TensorFlow's start-up messages off the screen",
    "redoubt.tracking": "finds MLflow and mirrors finished results into it",
}


def closure(start: str) -> list[Path]:
    """The files of every module that a module imports, itself included, inside functions too.

    What is imported for type checkers alone, what `EXEMPT` names and packages that only have a docstring are left out.

    Args:
        start: the module's dotted name, of this package or of `pipelines/` beside its `src/`.

    Returns:
        Paths, sorted by module.

    Raises:
        FileNotFoundError: there is no such module.
    """
    found: dict[str, Path] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if path is None:
            raise FileNotFoundError(f"no module {name}")
        if name in found or _is_exempt(name):
            continue
        found[name] = path
        packages = [name.rpartition(".")[0]] if "." in name else []
        waiting += [each for each in (*packages, *_imported(path)) if each not in found]
    return [found[name] for name in sorted(found) if does_something(found[name])]


@cache
def code_digest(start: str) -> str:
    """SHA-256 of the code that a module's results may depend on, for the key of what is remembered of them."""
    return digest_folder(SRC.parent, [path.relative_to(SRC.parent).as_posix() for path in closure(start)])


def _is_exempt(name: str) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in EXEMPT)


def _file(name: str) -> Path | None:
    parts = name.split(".")
    if parts[0] not in TOPS:
        return None
    base = TOPS[parts[0]].joinpath(*parts)
    return next((each for each in (base.with_suffix(".py"), base / "__init__.py") if each.is_file()), None)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def does_something(path: Path) -> bool:
    """Whether a module holds more than a docstring."""
    return any(not isinstance(each, ast.Expr) for each in _tree(path).body)


@cache
def _imported(path: Path) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_names(_tree(path))))


def _names(tree: ast.Module) -> Iterator[str]:
    for node in _run(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
        yield from (each for each in names if _file(each))


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below one that is not for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            yield from (each for other in child.orelse for each in (other, *_run(other)))
        else:
            yield child
            yield from _run(child)
