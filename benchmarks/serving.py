"""Guarded answers beside unguarded ones: the service, bare servers of the same network, and where the time goes.

All servers run at once and are asked in turn by the same client, so that a busy moment falls on all of them. Beside the
rate stands the processor time of one image in the server, which other programs of the machine disturb less. Run from
the project's top folder: `make bench-serving`, or `python -m benchmarks.serving --rounds 5`. Prints, asserts nothing.
"""

import argparse
import io
import json
import os
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import psutil
from PIL import Image

from benchmarks.load import Load, measure, request
from benchmarks.phases import floor, phases
from benchmarks.server import redoubt
from benchmarks.serving_peers import PEERS, serving
from redoubt.bundle.base.io import read_typed
from redoubt.bundle.schema import Schema
from serving.schema import Certify

ZOO, GUARD, CERTIFIED = Path("zoo"), "mnist-adversarial", "mnist-certified"
# A table's champion, which `make repro` makes.
CHAMPIONS, TABLE = Path("models"), "diagnosis"
CLIENTS, BATCH, BATCH_CLIENTS = (1, 8, 64), 32, 2
BENTOML, FASTAPI, KERAS = PEERS
COLUMNS = ("x BentoML", "x FastAPI", "x Keras")
OURS, PROVEN, PNG = "redoubt, full guard", "redoubt, with certificate", "redoubt, full guard, PNG"


@dataclass(frozen=True)
class Case:
    """A server, and one request to it."""

    url: str
    sent: bytes
    images: int

    def ask(self, clients: int, seconds: float) -> "Round":
        """Have clients ask it for some seconds."""
        before = self._cpu()
        load = measure(self.url, self.sent, clients, seconds)
        return Round(load, self._cpu() - before, self.images)

    def _cpu(self) -> float:
        # A server is the child of this process that was given its port, and whatever that started.
        port = self.url.rpartition(":")[2]
        server = next(each for each in psutil.Process().children() if port in each.cmdline())
        times = [each.cpu_times() for each in (server, *server.children(recursive=True))]
        return sum(each.user + each.system for each in times)


@dataclass(frozen=True)
class Round:
    """What came of asking a server for some seconds, and the seconds of processor time it took there."""

    load: Load
    cpu: float
    images: int

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.load.rate * self.images

    @property
    def cost(self) -> float:
        """Milliseconds of processor time per image."""
        return 1000 * self.cpu / max(1, len(self.load.took) * self.images)


def cases(urls: dict[str, str], images: int) -> dict[str, Case]:
    """Each way to have some images answered."""
    x = json.loads((ZOO / GUARD / "example.json").read_bytes())["inputs"]
    inputs = [x[index % len(x)] for index in range(images)]
    deep = np.array(inputs)[..., None].tolist()

    def ours(task: str, certify: str) -> bytes:
        return request(json.dumps({"task": task, "inputs": inputs, "certify": certify}).encode())

    sent = {
        OURS: ours(GUARD, "none"),
        PROVEN: ours(CERTIFIED, "budget"),
        PNG: request(_form(inputs[0]), "/predict_image", "multipart/form-data; boundary=x"),
        FASTAPI: request(json.dumps({"inputs": inputs}).encode()),
        **{name: request(json.dumps({"inputs": deep}).encode()) for name in (BENTOML, KERAS)},
    }
    return {name: Case(urls.get(name, urls[OURS]), each, images) for name, each in sent.items()}


def table_cases(urls: dict[str, str], bundle: Path) -> dict[str, Case]:
    """Each way to have a table's row answered: as named columns by us, as the network's numbers by others."""
    row = json.loads((bundle / "example.json").read_bytes())["inputs"][0]
    numbers = read_typed(bundle / "schema.json", Schema).encode([row]).tolist()
    sent = {
        name: request(json.dumps({"task": TABLE, "inputs": [row], "certify": certify}).encode())
        for name, certify in ((OURS, "none"), (PROVEN, "budget"))
    }
    sent |= {name: request(json.dumps({"inputs": numbers}).encode()) for name in PEERS}
    return {name: Case(urls.get(name, urls[OURS]), each, 1) for name, each in sent.items()}


def _form(image: list[list[float]]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.round(np.array(image) * 255).astype(np.uint8)).save(file, "PNG")
    head = b'--x\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    texts = {b"task": GUARD.encode(), b"certify": b"none"}
    parts = [head % (b"image", b'; filename="x.png"', file.getvalue())]
    return b"".join([*parts, *(head % (name, b"", text) for name, text in texts.items()), b"--x--\r\n"])


def in_turn(found: dict[str, Case], clients: int, rounds: int, seconds: float) -> dict[str, list[Round]]:
    """Ask each in turn, round after round."""
    asked: dict[str, list[Round]] = defaultdict(list)
    for _ in range(rounds):
        for name, case in found.items():
            asked[name].append(case.ask(clients, seconds))
    return asked


def table(title: str, asked: dict[str, list[Round]]) -> None:
    """Print medians over the rounds; after the slash, how many times less processor time than the peer it took."""
    rates = {name: median(each.rate for each in rounds) for name, rounds in asked.items()}
    costs = {name: median(each.cost for each in rounds) for name, rounds in asked.items()}
    print(
        f"\n{title:36} {'inputs/s':>8} {'cpu ms':>7} {'p50 ms':>7} {'p99 ms':>7}", *(f"{name:>14}" for name in COLUMNS)
    )
    for name, rounds in asked.items():
        times = [median(each.load.percentile(share) for each in rounds) for share in (50, 99)]
        ratios = [
            f"{rates[name] / rates[peer]:.2f} / {costs[peer] / costs[name]:.2f}" if peer in rates else ""
            for peer in PEERS
        ]
        refused = sum(sum(each.load.others.values()) for each in rounds)
        print(
            f"{name:36} {rates[name]:8.0f} {costs[name]:7.2f} {times[0]:7.1f} {times[1]:7.1f}",
            *(f"{each:>14}" for each in ratios),
            f"{refused} not answered" if refused else "",
            flush=True,
        )


def images(rounds: int, seconds: float) -> None:
    """Compare on MNIST, one image and many at a time."""
    with ExitStack() as stack:
        urls = {name: stack.enter_context(serving(name, ZOO / GUARD)) for name in PEERS}
        urls[OURS] = stack.enter_context(redoubt(ZOO))
        single = cases(urls, 1)
        in_turn(single, 1, 1, 0.3)
        for clients in CLIENTS:
            table(f"one image, {clients} connections", in_turn(single, clients, rounds, seconds))
        many = {name: case for name, case in cases(urls, BATCH).items() if name not in (PNG, KERAS)}
        table(f"{BATCH} images, {BATCH_CLIENTS} connections", in_turn(many, BATCH_CLIENTS, rounds, seconds))


def rows(rounds: int, seconds: float) -> None:
    """Compare on a table, or say what is needed for it."""
    bundle = CHAMPIONS / TABLE / "champion"
    if not bundle.is_dir():
        print(f"\none row of a table: not measured, {bundle} is not here; `make repro RUN={TABLE}` makes it")
        return
    with ExitStack() as stack:
        urls = {name: stack.enter_context(serving(name, bundle)) for name in PEERS}
        urls[OURS] = stack.enter_context(redoubt(CHAMPIONS))
        found = table_cases(urls, bundle)
        in_turn(found, 1, 1, 0.3)
        for clients in CLIENTS:
            table(f"one row of {TABLE}, {clients} connections", in_turn(found, clients, rounds, seconds))


def main() -> None:
    """Serve all, ask all, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of all servers, per table")
    parser.add_argument("--seconds", type=float, default=1.5, help="per server and round")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, {options.rounds} rounds of {options.seconds:g} s, medians over the rounds")
    images(options.rounds, options.seconds)
    rows(options.rounds, options.seconds)
    asks: list[tuple[str, Certify]] = [(GUARD, "none"), (CERTIFIED, "budget")]
    for bundle, certify in asks:
        print(f"\none image of {bundle}, certify {certify}, in process, ms")
        for name, took in phases(ZOO / bundle, certify).items():
            print(f"  {name:32} {took:7.3f}")
    print(f"\nfloor: the network's own work for all variants, {floor(ZOO / GUARD):,.0f} images/s on one core")


if __name__ == "__main__":
    main()
