"""Our attacks and those of torchattacks and Foolbox on PyTorch: the same weights, images, steps and one thread each.

PyTorch is installed apart, since it cannot share a process with TensorFlow; see docs/attack.md. Prints seconds,
robust accuracy and their ratio, and the same of Square through ONNX Runtime; asserts nothing but that both networks
are one. Run from the project's top folder.
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import keras
import numpy as np
import onnxruntime
from rich.console import Console
from rich.table import Table

import pipelines._quiet  # noqa: F401
from benchmarks.limits import Timing, timed
from benchmarks.mnist import images, test_rows
from redoubt.attacks.apgd import APGD
from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.geometry import distance
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import BATCH, AttackProblem, of_callable, of_network
from redoubt.attacks.square import Square
from redoubt.core.types import PIXELS, Batch, Floats
from redoubt.models.export import add_network
from redoubt.models.onnx_graph import Graph
from redoubt.models.saved import load_network
from redoubt.params.load import load

Run = Callable[[], tuple[Timing, Floats]]
NETWORK, PYTHON = Path("zoo/mnist-natural"), Path(".redoubt/torch/bin/python")
POINTS, REPEATS, WARM = 1000, 3, 16
EPS, STEP, PGD_STEPS, APGD_STEPS, QUERIES = 0.1, 0.01, 40, 100, 1000


@dataclass(frozen=True)
class Result:
    """One attack of one side: what it took, and the share of all images that are still classified correctly."""

    name: str
    timing: Timing
    robust: float


class Other:
    """The process with PyTorch."""

    def __init__(self, python: Path, folder: Path) -> None:
        """Start it.

        Args:
            python: with PyTorch.
            folder: what `hand_over` wrote.
        """
        self._folder = folder
        side = Path(__file__).with_name("torch_side.py")
        alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            [python, side, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=alone
        )
        self.about = self._answer()

    def attack(self, name: str) -> tuple[Timing, Floats]:
        """Seconds and perturbed images of one run."""
        assert self._process.stdin is not None
        print(name, file=self._process.stdin, flush=True)
        spent = self._answer()
        return Timing(spent["wall"], spent["cpu"]), np.load(self._folder / "x_adv.npy")

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("error: the process with PyTorch ended; what it said is above")
        found: dict[str, Any] = json.loads(line)
        return found


def hand_over(network: keras.Model, batch: Batch, settings: dict[str, Any], folder: Path) -> None:
    """Write a network, images and settings for `benchmarks.torch_side`."""
    layers: list[tuple[str, dict[str, Any]]] = []
    arrays: dict[str, Any] = {}
    for layer in network.layers:
        kind, options = _described(layer)
        if kind in ("convolution", "dense"):
            held = layer.get_weights()
            arrays |= {f"{len(layers)}-{place}": value for place, value in enumerate(held)}
            options["arrays"] = len(held)
        if kind:
            layers.append((kind, options))
        if getattr(layer, "activation", None) is keras.activations.relu:
            layers.append(("relu", {}))
    (folder / "layers.json").write_text(json.dumps(layers))
    (folder / "settings.json").write_text(json.dumps(settings))
    np.savez(folder / "weights.npz", **arrays)
    np.savez(folder / "data.npz", x=batch.x, y=batch.y)


def _described(layer: Any) -> tuple[str, dict[str, Any]]:
    kind = type(layer).__name__
    if kind in ("InputLayer", "Dropout"):
        return "", {}
    if kind == "Normalization":
        mean, variance = (np.asarray(each).reshape(-1) for each in (layer.mean, layer.variance))
        return "scale", {"mean": mean.tolist(), "spread": np.sqrt(variance).tolist()}
    if kind == "MaxPooling2D":
        return "pool", {"size": list(layer.pool_size)}
    plain = {"Flatten": "flatten", "Conv2D": "convolution", "Dense": "dense", "ReLU": "relu"}
    if kind not in plain or getattr(layer, "padding", "same") != "same":
        raise SystemExit(f"error: {NETWORK} has a layer {kind} that is not handed to PyTorch")
    return plain[kind], {}


def through_onnx_runtime(network: keras.Model) -> AttackProblem:
    """The same network as a service asks it: scores of ONNX Runtime, one thread."""
    graph, options = Graph(), onnxruntime.SessionOptions()
    output = add_network(graph, network, "x")
    options.intra_op_num_threads = 1
    content = graph.build({"x": ("n", *network.input_shape[1:])}, {"y": (output, ("n", network.output_shape[1]))})
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    answer: Callable[[Floats], Floats] = lambda x: session.run(["y"], {"x": x})[0]  # noqa: E731
    return AttackProblem(of_callable(answer, network.output_shape[1]), Untargeted(), "linf", PIXELS)


def contests(network: keras.Model, batch: Batch, other: Other, seed: int) -> list[dict[str, Run]]:
    """Each attack of ours and then the same of the others."""
    problem = AttackProblem(of_network(network), Untargeted(), "linf", PIXELS)

    def ours(attack: Attack, against: AttackProblem = problem) -> Run:
        attack(against, batch.x[:WARM], batch.y[:WARM], eps=EPS, seed=seed)
        kept: list[Floats] = []

        def run() -> tuple[Timing, Floats]:
            timing = timed(lambda: kept.append(attack(against, batch.x, batch.y, eps=EPS, seed=seed)), 1)
            return timing, kept[-1]

        return run

    def theirs(*names: str) -> dict[str, Run]:
        return {name: partial(other.attack, name) for name in names}

    square = Square(queries=QUERIES)
    return [
        {
            f"PGD-{PGD_STEPS}": ours(PGD(steps=PGD_STEPS, step_size=STEP / EPS)),
            **theirs("torchattacks PGD", "foolbox PGD"),
        },
        {"APGD-CE": ours(APGD(steps=APGD_STEPS)), **theirs("torchattacks APGD-CE")},
        {"APGD-DLR": ours(APGD(steps=APGD_STEPS, loss="dlr")), **theirs("torchattacks APGD-DLR")},
        {
            "Square": ours(square),
            "Square, ONNX Runtime": ours(square, through_onnx_runtime(network)),
            **theirs("torchattacks Square"),
        },
    ]


def compare(network: keras.Model, batch: Batch, contest: dict[str, Run], repeats: int) -> list[Result]:
    """Both sides of a contest in turns; medians."""
    turns = [{name: run() for name, run in contest.items()} for _ in range(repeats)]
    found = []
    for name in contest:
        wall, cpu = (median(getattr(turn[name][0], side) for turn in turns) for side in ("wall", "cpu"))
        found.append(Result(name, Timing(wall, cpu), _robust(network, batch, turns[-1][name][1])))
    return found


def _robust(network: keras.Model, batch: Batch, x_adv: Floats) -> float:
    """Judged by the same network for both sides; what leaves the eps-ball or the pixels' range fools nobody."""
    right = network.predict(x_adv, verbose=0).argmax(axis=1) == batch.y
    clean = network.predict(batch.x, verbose=0).argmax(axis=1) == batch.y
    outside = (x_adv < 0).reshape(len(x_adv), -1).any(axis=1) | (x_adv > 1).reshape(len(x_adv), -1).any(axis=1)
    far = distance(x_adv - batch.x, "linf", PIXELS) > EPS * (1 + 1e-4)
    return float(np.mean(clean & (right | far | outside)))


def show(console: Console, found: list[list[Result]], repeats: int) -> None:
    """One table; ratios are to the first of ours in each group."""
    table = Table(title=f"seconds and CPU seconds, medians of {repeats}; L-inf eps {EPS:g}; one thread")
    for name in ("attack", "seconds", "CPU seconds", "times ours (CPU)", "robust accuracy"):
        table.add_column(name, justify="left" if name == "attack" else "right", no_wrap=True)
    for group in found:
        for each in group:
            ratio = f"{each.timing.wall / group[0].timing.wall:.2f} ({each.timing.cpu / group[0].timing.cpu:.2f})"
            seconds = (f"{each.timing.wall:.2f}", f"{each.timing.cpu:.2f}")
            table.add_row(each.name, *seconds, ratio, f"{each.robust:.1%}")
        table.add_section()
    console.print(table)


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.torch_peers", description=__doc__)
    parser.add_argument("--python", type=Path, default=PYTHON, help=f"Python with PyTorch (default {PYTHON})")
    parser.add_argument("--points", type=int, default=POINTS, help=f"test images attacked (default {POINTS})")
    parser.add_argument("--repeats", type=int, default=REPEATS, help=f"timed runs of each (default {REPEATS})")
    arguments = parser.parse_args()
    if not arguments.python.is_file():
        raise SystemExit(f"error: {arguments.python} is not there; docs/attack.md says how to install PyTorch apart")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    seed, console, network = load().seed, Console(width=120), load_network(NETWORK)
    batch = test_rows(images(), arguments.points, seed)
    settings = {"eps": EPS, "step": STEP, "pgd": PGD_STEPS, "apgd": APGD_STEPS, "queries": QUERIES, "seed": seed}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hand_over(network, batch, {**settings, "batch": BATCH, "warm": WARM, "threads": 1}, folder)
        other = Other(arguments.python, folder)
        far = float(np.abs(np.load(folder / "logits.npy") - network.predict(batch.x, verbose=0)).max())
        if far > 1e-3:
            raise SystemExit(f"error: PyTorch's network differs from {NETWORK} by {far:.1e}")
        packages = ", ".join(f"{name} {said}" for name, said in other.about.items() if name != "attacks")
        console.print(f"{NETWORK}, {len(batch)} test images, seed {seed}; {os.cpu_count()} cores; {packages}")
        console.print(f"load {os.getloadavg()[0]:.1f}; logits of both differ by {far:.1e} at most")
        held = contests(network, batch, other, seed)
        with console.status("attacking"):
            found = [compare(network, batch, each, arguments.repeats) for each in held]
        show(console, found, arguments.repeats)
        other.close()


if __name__ == "__main__":
    main()
