"""Many requests at 64 connections: whether any fails, and what memory is held afterwards. Prints, asserts nothing.

Run from the project's top folder: `make bench-serving REQUESTS=200000`, or `python -m benchmarks.endurance`. With
`--moves` a champion is replaced by another one, and back, every few seconds meanwhile.
"""

import argparse
import json
import os
import secrets
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median

import httpx
import psutil

from benchmarks.load import measure, request
from benchmarks.server import redoubt
from redoubt.bundle.guarded_model import BUNDLE_FILES
from redoubt.bundle.io import digest_folder
from serving.admin import RELOAD, TOKEN

BUNDLE, CLIENTS, WARM, ROUND = "mnist-adversarial", 64, 2.0, 5.0


def memory(url: str) -> int:
    """MiB that the server's processes hold, as they say themselves."""
    said = httpx.get(f"{url}/metrics").text.splitlines()
    return round(sum(float(line.split()[1]) for line in said if line.startswith("redoubt_process_resident")) / 2**20)


def vary(bundle: Path, step: int) -> None:
    """Make one of two bundles of a bundle, which differ in their threshold."""
    guard, card = (json.loads((bundle / name).read_bytes()) for name in ("guard.json", "card.json"))
    guard["threshold"] *= 1.01 if step % 2 else 1 / 1.01
    (bundle / "guard.json").write_text(json.dumps(guard))
    (bundle / "card.json").write_text(json.dumps({**card, "digest": digest_folder(bundle, BUNDLE_FILES)}))


def main() -> None:
    """Serve, ask, print a line a round."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--moves", action="store_true", help="replace the champion in every round")
    options = parser.parse_args()
    os.environ[TOKEN] = token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder)
        shutil.copytree(Path("zoo", BUNDLE), models / BUNDLE)
        inputs = json.loads((models / BUNDLE / "example.json").read_bytes())["inputs"][:1]
        sent = request(json.dumps({"task": BUNDLE, "inputs": inputs, "certify": "none"}).encode())
        with redoubt(models) as url:
            measure(url, sent, CLIENTS, WARM)
            before = memory(url)
            print(f"{psutil.cpu_count()} cores, {CLIENTS} connections, {before} MiB before")
            good, others, middle, step = 0, Counter[int](), list[float](), 0
            began = time.monotonic()
            while good < options.requests:
                if options.moves:
                    vary(models / BUNDLE, step := step + 1)
                    moved = httpx.post(url + RELOAD, headers={"Authorization": f"Bearer {token}"}, timeout=60)
                    moved.raise_for_status()
                load = measure(url, sent, CLIENTS, ROUND)
                good += len(load.took)
                others += load.others
                middle.append(load.percentile(50))
                print(f"{good:8} answered, {load.percentile(99):6.1f} ms p99, {memory(url)} MiB", flush=True)
            after, took = memory(url), time.monotonic() - began
    said = ", ".join(f"{count} x {status or 'no answer'}" for status, count in sorted(others.items()))
    print(f"{good} answered in {took:.0f} s ({median(middle):.1f} ms in the middle), others: {said or 'none'}")
    print(f"memory {before} MiB before, {after} MiB after: {100 * (after / before - 1):+.1f} %")


if __name__ == "__main__":
    main()
