"""One side of `benchmarks.torch_peers`, for a Python that has PyTorch, torchattacks and Foolbox, and nothing of ours.

Reads a network and images, builds the same network in PyTorch, and answers each line of its input, the name of an
attack, with seconds and perturbed images.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

PACKAGES = ("torch", "torchattacks", "foolbox")


class Scaled(torch.nn.Module):
    """Keras's `Normalization`."""

    def __init__(self, mean: Any, spread: Any) -> None:
        """Keep both, one of each channel."""
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1))
        self.register_buffer("spread", torch.tensor(spread).reshape(1, -1, 1, 1))

    def forward(self, x: Any) -> Any:
        """Normalized."""
        return (x - self.mean) / self.spread


class Flat(torch.nn.Module):
    """Keras's order of values: channels last."""

    def forward(self, x: Any) -> Any:
        """`(examples, values)`."""
        return x.permute(0, 2, 3, 1).flatten(1)


def network(folder: Path) -> Any:
    """The same layers with the same weights."""
    weights = np.load(folder / "weights.npz")
    layers = []
    for place, (kind, options) in enumerate(json.loads((folder / "layers.json").read_text())):
        arrays = [torch.tensor(weights[f"{place}-{each}"]) for each in range(options.get("arrays", 0))]
        layers += _layer(kind, options, arrays)
    found = torch.nn.Sequential(*layers).eval().to(memory_format=torch.channels_last)
    for parameter in found.parameters():
        parameter.requires_grad_(False)
    return found


def _layer(kind: str, options: dict[str, Any], arrays: list[Any]) -> list[Any]:
    if kind == "scale":
        return [Scaled(options["mean"], options["spread"])]
    if kind == "pool":
        return [torch.nn.MaxPool2d(options["size"])]
    if kind == "flatten":
        return [Flat()]
    if kind == "relu":
        return [torch.nn.ReLU()]
    kernel, bias = arrays
    if kind == "convolution":
        layer: Any = torch.nn.Conv2d(kernel.shape[2], kernel.shape[3], tuple(kernel.shape[:2]), padding="same")
        turned = kernel.permute(3, 2, 0, 1)
    else:
        layer, turned = torch.nn.Linear(*kernel.shape), kernel.T
    layer.weight.data, layer.bias.data = turned.contiguous(), bias
    return [layer]


def attacks(model: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """By name, `(x, y) -> x_adv`, each at the steps and the batch size that ours has."""
    import foolbox
    import torchattacks

    eps, seed = asked["eps"], asked["seed"]
    found: dict[str, Any] = {
        "torchattacks PGD": torchattacks.PGD(model, eps=eps, alpha=asked["step"], steps=asked["pgd"]),
        "torchattacks APGD-CE": torchattacks.APGD(model, eps=eps, steps=asked["apgd"], seed=seed),
        "torchattacks APGD-DLR": torchattacks.APGD(model, eps=eps, steps=asked["apgd"], loss="dlr", seed=seed),
        "torchattacks Square": torchattacks.Square(model, eps=eps, n_queries=asked["queries"], seed=seed),
    }
    seen = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    pgd = foolbox.attacks.LinfPGD(abs_stepsize=asked["step"], steps=asked["pgd"])
    return {**found, "foolbox PGD": lambda x, y: pgd(seen, x, y, epsilons=eps)[1]}


def main() -> None:
    """Answer until there are no more lines."""
    folder, (asked, answers) = Path(sys.argv[1]), (sys.stdin, sys.stdout)
    # Both libraries print.
    sys.stdout = sys.stderr
    settings = json.loads((folder / "settings.json").read_text())
    torch.set_num_threads(settings["threads"])
    torch.manual_seed(settings["seed"])
    data = np.load(folder / "data.npz")
    x = torch.tensor(data["x"].transpose(0, 3, 1, 2)).contiguous(memory_format=torch.channels_last)
    y, model = torch.tensor(data["y"]), network(folder)
    np.save(folder / "logits.npy", model(x).numpy())
    known = attacks(model, settings)
    print(json.dumps({name: version(name) for name in PACKAGES} | {"attacks": list(known)}), file=answers, flush=True)
    for line in asked:
        few = slice(0, settings["warm"])
        known[line.strip()](x[few], y[few])
        wall, cpu = time.perf_counter(), time.process_time()
        parts = zip(x.split(settings["batch"]), y.split(settings["batch"]), strict=True)
        x_adv = torch.cat([known[line.strip()](*part).detach() for part in parts])
        spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        np.save(folder / "x_adv.npy", x_adv.permute(0, 2, 3, 1).contiguous().numpy())
        print(json.dumps(spent), file=answers, flush=True)


if __name__ == "__main__":
    main()
