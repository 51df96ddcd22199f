"""Says where this machine made other bytes than the committed dvc.lock has, from the same code, settings and data."""

import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

LOCK = "dvc.lock"
# Instructions that numerical libraries choose their sums by, the newest last.
INSTRUCTIONS = ("avx", "fma", "avx2", "avx512f", "avx512_vnni", "amx_tile")
SHOWN = 5
Stages = Mapping[str, Mapping[str, Any]]


def other_bytes(root: Path) -> str | None:
    """Compare the lock that a run left with the one that git has.

    Args:
        root: the project's top folder.

    Returns:
        One sentence; None if every output is as committed wherever all it was made of is, or if git has no lock.
    """
    git = shutil.which("git")
    if git is None or not (root / LOCK).is_file():
        return None
    shown = subprocess.run([git, "-C", root, "show", f"HEAD:./{LOCK}"], capture_output=True, check=False)  # noqa: S603
    if shown.returncode:
        return None
    found = differing(_stages(shown.stdout), _stages((root / LOCK).read_bytes()))
    if not found:
        return None
    names = [f"{stage} ({', '.join(outputs)})" for stage, outputs in found.items()]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (
        f"note: these outputs differ from the committed {LOCK} although code, settings and data are the same:"
        f" {', '.join(names[:SHOWN])}{more}; this machine's CPU is {processor()}, and another one may round a last bit"
        " differently"
    )


def differing(committed: Stages, now: Stages) -> dict[str, list[str]]:
    """Outputs, by stage, that were made otherwise from the same command, dependencies and settings.

    A stage that reads such an output has other dependencies, and is not named again.

    Args:
        committed: the stages of a lock, by name.
        now: those of another one.
    """
    found = {}
    for stage in sorted(set(committed) & set(now)):
        then, today = dict(committed[stage]), dict(now[stage])
        outputs, known = _digests(today.pop("outs", ())), _digests(then.pop("outs", ()))
        changed = sorted(path for path in outputs if path in known and outputs[path] != known[path])
        if changed and then == today:
            found[stage] = changed
    return found


def processor() -> str:
    """The processor's name, as far as the system tells it, and which of `INSTRUCTIONS` it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in reversed(lines))}
    flags = set(facts.get("flags", "").split())
    has = [name for name in INSTRUCTIONS if name in flags]
    name = facts.get("model name", platform.machine())
    return f"{name} ({', '.join(has)})" if has else name


def _stages(lock: bytes) -> Stages:
    found: Any = yaml.load(lock, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    stages: Stages = found["stages"]
    return stages


def _digests(outputs: Any) -> dict[str, str]:
    return {output["path"]: output.get("md5", "") for output in outputs}
