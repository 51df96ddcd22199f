"""Which files of the project a module's results may depend on, read from the text of its imports."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import redoubt

SRC = Path(redoubt.__file__).parents[1]
TOPS = ("redoubt", "pipelines")
# What cannot change a result: neither counted nor followed further. The report's mirror in MLflow is no result.
EXEMPT = {
    "pipelines._lock": "mends dvc.lock and rwlock, which are DVC's own",
    "redoubt.data.leftovers": "removes what killed processes left half-written",
    "redoubt.quiet": "keeps TensorFlow's start-up messages off the screen",
    "redoubt.tracking": "mirrors finished results into MLflow",
    "redoubt.tracking_errors": "words for what goes wrong there",
    "redoubt.tracking_uri": "finds MLflow",
}


def closure(start: str, project: Path) -> list[Path]:
    """The files of every module that a module imports, itself included, wherever in a file the import stands.

    What is imported for type checkers alone, modules in `EXEMPT` and packages that only have a docstring are left out.

    Args:
        start: the module's dotted name.
        project: holds `pipelines/`; the package itself is found where it was imported from.

    Returns:
        Paths, sorted by module.

    Raises:
        FileNotFoundError: there is no such module.
    """
    found: dict[str, Path] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        path = _file(name, project)
        if path is None:
            raise FileNotFoundError(f"no module {name}")
        if name in found or name in EXEMPT:
            continue
        found[name] = path
        packages = [name.rpartition(".")[0]] if "." in name else []
        waiting += [each for each in (*packages, *_imported(path, project)) if each not in found]
    return [found[name] for name in sorted(found) if _does_something(found[name])]


def _file(name: str, project: Path) -> Path | None:
    top, parts = name.partition(".")[0], name.split(".")
    if top not in TOPS:
        return None
    base = (SRC if top == "redoubt" else project).joinpath(*parts)
    return next((each for each in (base.with_suffix(".py"), base / "__init__.py") if each.is_file()), None)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _does_something(path: Path) -> bool:
    return any(not isinstance(each, ast.Expr) for each in _tree(path).body)


@cache
def _imported(path: Path, project: Path) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_names(_tree(path), project)))


def _names(tree: ast.Module, project: Path) -> Iterator[str]:
    for node in _run(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
        yield from (each for each in names if _file(each, project))


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below one that is not for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            yield from (each for other in child.orelse for each in (other, *_run(other)))
        else:
            yield child
            yield from _run(child)
