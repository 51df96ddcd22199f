"""The hashes of a run, in one tag: what a run is of is said in words, and found by these."""

from collections.abc import Mapping

KEY = "redoubt.key"
# What records say by a hash, each a tag of its own in runs of before.
NAMES = ("dataset", "digest", "split")


def joined(key: str, tags: Mapping[str, str]) -> str:
    """The value of the tag: the content key, then each known hash by name."""
    return "; ".join([key, *(f"{name} {tags[name]}" for name in NAMES if name in tags)])


def key_of(tags: Mapping[str, str]) -> str:
    """The content key of a run, empty for a run that is not ours."""
    return tags.get(KEY, "").split(";")[0]


def hashes_of(tags: Mapping[str, str]) -> dict[str, str]:
    """The hashes of a run by name, without its key."""
    words = [part.strip().partition(" ") for part in tags.get(KEY, "").split(";")[1:]]
    return {name: tags[name] for name in NAMES if name in tags} | {name: value for name, _, value in words}
