"""A YAML file as settings are read: bounded before it is built, every key once."""

from pathlib import Path
from typing import Any

import yaml

from redoubt.params.settings.base import ParamsError

# The largest file that is read, its depth, and its values with aliases written out.
BYTES, DEPTH, VALUES = 2**20, 50, 100_000
_MERGE = "tag:yaml.org,2002:merge"
# Six times as fast where PyYAML was built with it.
_LIBYAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Twice(Exception):  # noqa: N818
    """A mapping with a key twice: the second and the first."""

    def __init__(self, key: yaml.ScalarNode, first: yaml.ScalarNode) -> None:
        super().__init__(key.value)
        self.key, self.first = key, first


def read_yaml(path: Path) -> Any:
    """What a YAML file holds.

    Raises:
        ParamsError: it cannot be read, is too large or too deep, grows by its aliases or has a key twice; refused
            before anything is built.
    """
    try:
        if path.stat().st_size > BYTES:
            raise ParamsError(
                f"{path}: the file has {path.stat().st_size:,} bytes, at most {BYTES:,} are read; "
                "keep settings alone in it"
            )
        text = path.read_text(encoding="utf-8")
        try:
            return _built(text, path, _LIBYAML)
        except yaml.YAMLError:
            # PyYAML's own messages show the place.
            return _built(text, path, yaml.SafeLoader)
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run the command in the project's top folder") from None
    except OSError as error:
        raise ParamsError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path}: not UTF-8: {error.reason} at byte {error.start}; save it as UTF-8") from None
    except _Twice as error:
        key = error.key
        line, first = key.start_mark.line + 1, error.first.start_mark.line + 1
        raise ParamsError(
            f"{path}: line {line}: the key '{key.value[:80]}' stands in line {first} already; keep one of the two"
        ) from None
    except ParamsError:
        raise
    # A number of 5,000 digits or a 31st of February is a plain ValueError.
    except (yaml.YAMLError, ValueError) as error:
        raise ParamsError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None


def _built(text: str, path: Path, kind: Any) -> Any:
    """What a YAML text holds, read by one of PyYAML's loaders once it is known to be small and to name no key twice."""
    _check_size(text, path, kind)
    loader = kind(text)
    try:
        if (top := loader.get_single_node()) is None:
            return None
        _check_keys(top, set())
        return loader.construct_document(top)
    finally:
        loader.dispose()


def _check_keys(node: yaml.Node, seen: set[int]) -> None:
    """PyYAML takes the last of two equal keys without a word; what `<<` merges may be overridden."""
    if isinstance(node, yaml.ScalarNode) or id(node) in seen:
        return
    seen.add(id(node))
    mapping = isinstance(node, yaml.MappingNode)
    for inner in (each for pair in node.value for each in (pair if mapping else (pair,))):
        _check_keys(inner, seen)
    keys: dict[tuple[str, str], yaml.ScalarNode] = {}
    for key, _ in node.value if mapping else ():
        if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
            first = keys.setdefault((key.tag, key.value), key)
            if first is not key:
                raise _Twice(key, first)


def _check_size(text: str, path: Path, kind: Any) -> None:
    """Walk through the events of a YAML text, which builds nothing, and count its values with aliases written out."""
    depth, values, sizes = 0, 0, dict[str | None, int]()
    opened: list[tuple[str | None, int]] = []
    for event in yaml.parse(text, Loader=kind):
        where = f"{path}: line {event.start_mark.line + 1 if event.start_mark else '?'}"
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            anchor, before = opened.pop()
            sizes |= {anchor: values - before} if anchor else {}
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in {anchor for anchor, _ in opened}:
                raise ParamsError(f"{where}: '*{event.anchor}' holds itself")
            values += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.NodeEvent):
            values += 1
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                opened.append((event.anchor, values - 1))
        if depth > DEPTH:
            raise ParamsError(f"{where}: values nested more than {DEPTH} deep; settings need no more than 8")
        if values > VALUES:
            raise ParamsError(f"{where}: more than {VALUES:,} values, aliases written out; leave some away")
