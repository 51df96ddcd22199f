"""Many requests at 64 connections: whether any fails, what memory is held afterwards, and who is kept waiting by whom.

At the end an honest client's rate alone, and beside 50 slow clients and 8 that send full batches. It asserts nothing.
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

from benchmarks.load import Load, measure, request
from benchmarks.server import redoubt
from redoubt.bundle.base.io import digest_folder
from redoubt.bundle.model.guarded_model import BUNDLE_FILES
from serving.admin import RELOAD, TOKEN
from serving.schema import MAX_INPUTS

BUNDLE, CLIENTS, WARM, ROUND = "mnist-adversarial", 64, 2.0, 5.0
# Beside an honest client: those that stop within a body, and those that send as many images as a request may hold.
SLOW, GREEDY, TURNS, LONG = 50, 8, 3, 10.0


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


def beside(url: str, sent: bytes, full: bytes) -> None:
    """Print the rate of one client alone and beside others, in turn."""
    rates: dict[str, list[float]] = {"alone": [], f"beside {SLOW} slow ones": [], f"beside {GREEDY} full batches": []}
    batches = Load()
    for _ in range(TURNS):
        for name, rate in rates.items():
            slow, greedy = SLOW * name.endswith("slow ones"), [full] * GREEDY * name.endswith("batches")
            load = measure(url, sent, 1, LONG, slow, greedy, batches if greedy else None)
            if load.others:
                print(f"{name}: not answered {dict(load.others)}")
            rate.append(load.rate)
    alone = median(rates["alone"])
    for name, rate in rates.items():
        print(f"an honest client {name}: {median(rate):.0f} answers/s, {median(rate) / alone:.2f} of alone")
    # Those under way when the time is over have no status.
    refused = {status: count for status, count in batches.others.items() if status}
    print(f"full batches meanwhile: {len(batches.took)} answered, others: {refused or 'none'}")


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
        asked = {"task": BUNDLE, "inputs": inputs, "certify": "none"}
        sent = request(json.dumps(asked).encode())
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
            beside(url, sent, request(json.dumps({**asked, "inputs": inputs * MAX_INPUTS}).encode()))
            last = memory(url)
    said = ", ".join(f"{count} x {status or 'no answer'}" for status, count in sorted(others.items()))
    print(f"{good} answered in {took:.0f} s ({median(middle):.1f} ms in the middle), others: {said or 'none'}")
    print(f"memory {before} MiB before, {after} MiB after: {100 * (after / before - 1):+.1f} %")
    print(f"memory {last} MiB after the full batches")


if __name__ == "__main__":
    main()
