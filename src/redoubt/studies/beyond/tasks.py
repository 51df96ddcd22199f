"""More than one task: learning them one after another, learning from a handful of examples, learning to learn."""

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.core.types import Batch, Floats
from redoubt.studies.beyond.trust import KNOWN, accuracy
from redoubt.studies.contract import Doubles
from redoubt.studies.digit_networks import MLP, learn, new_network

# The first task's digits are those below.
HALF = 5
REPLAYED = 10
SHOTS = (1, 5)
DRAWS = 50
HIDDEN = 40
POINTS = 10
INNER = 8
INNER_RATE = 0.02
Weights = list[Doubles]


def lifelong(train: Batch, test: Batch, epochs: int, seed: int) -> dict[str, float]:
    """Two tasks in sequence, digits 0 to 4 and 5 to 9: with nothing kept, and with a few old pictures kept."""
    old, new = (train.take(np.flatnonzero(each)) for each in (train.y < HALF, train.y >= HALF))
    tests = {"first": test.take(np.flatnonzero(test.y < HALF)), "second": test.take(np.flatnonzero(test.y >= HALF))}
    network = learn(new_network(MLP, train.x, seed), old, epochs, 64, seed)
    found = {"lifelong_first/before": accuracy(network, tests["first"])}
    weights = network.get_weights()
    kept = np.concatenate([np.flatnonzero(old.y == digit)[:REPLAYED] for digit in range(HALF)])
    # Kept pictures are shown so often that old and new weigh about the same.
    again = old.take(np.tile(kept, max(1, len(new) // len(kept))))
    lessons = {
        "alone": new,
        "replay": Batch(np.concatenate([new.x, again.x]), np.concatenate([new.y, again.y])),
    }
    for name, lesson in lessons.items():
        network.set_weights(weights)
        learn(network, lesson, epochs, 64, seed)
        found |= {f"lifelong_{task}/{name}": accuracy(network, rows) for task, rows in tests.items()}
    return found


def few_shot(network: keras.Model, train: Batch, test: Batch, seed: int) -> dict[str, float]:
    """Digits that the network never saw, told apart by the nearest mean of a few examples: features against pixels."""
    unseen = [batch.take(np.flatnonzero(batch.y >= KNOWN)) for batch in (train, test)]
    inner = keras.Model(network.inputs, network.layers[-2].output)
    spaces = {
        "features": [inner(tf.constant(batch.x)).numpy() for batch in unseen],
        "pixels": [batch.x.reshape(len(batch), -1) for batch in unseen],
    }
    rng, classes = np.random.default_rng(seed), np.arange(KNOWN, 10)
    right: dict[str, list[float]] = {}
    for _ in range(DRAWS):
        for shots in SHOTS:
            chosen = np.stack([rng.choice(np.flatnonzero(unseen[0].y == c), shots, replace=False) for c in classes])
            for name, (known, asked) in spaces.items():
                answers = classes[nearest(known[chosen].mean(axis=1), asked)]
                right.setdefault(f"few_shot_{name}/{shots}", []).append(float(np.mean(answers == unseen[1].y)))
    return {name: float(np.mean(each)) for name, each in right.items()}


def nearest(prototypes: Floats, x: Floats) -> NDArray[np.int64]:
    """Which prototype `(classes, width)` each row `(rows, width)` lies nearest to."""
    return np.asarray(np.square(x[:, None] - prototypes[None]).sum(axis=-1).argmin(axis=1))


def fresh(rng: np.random.Generator) -> Weights:
    """Weights of a network from one number by two tanh layers to one number."""
    sizes = ((1, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 1))
    return [
        part for fan_in, out in sizes for part in (rng.normal(0, 1 / np.sqrt(fan_in), (fan_in, out)), np.zeros(out))
    ]


def answer(weights: Weights, x: Doubles) -> Doubles:
    """The network's answers, `(rows, 1)`."""
    a, b, c, d, e, f = weights
    return np.asarray(np.tanh(np.tanh(x @ a + b) @ c + d) @ e + f)


def slopes(weights: Weights, x: Doubles, y: Doubles) -> Weights:
    """Gradient of the mean squared error, by backpropagation."""
    a, b, c, d, e, f = weights
    first = np.tanh(x @ a + b)
    second = np.tanh(first @ c + d)
    out = 2 * (second @ e + f - y) / len(x)
    back = (out @ e.T) * (1 - second**2)
    front = (back @ c.T) * (1 - first**2)
    return [x.T @ front, front.sum(0), first.T @ back, back.sum(0), second.T @ out, out.sum(0)]


def descend(weights: Weights, x: Doubles, y: Doubles, steps: int) -> Weights:
    """Weights after so many steps of gradient descent."""
    for _ in range(steps):
        weights = [part - INNER_RATE * slope for part, slope in zip(weights, slopes(weights, x, y), strict=True)]
    return weights


def sine(rng: np.random.Generator) -> tuple[float, float]:
    """A task: amplitude and phase of a sine wave."""
    return float(rng.uniform(0.5, 3.0)), float(rng.uniform(0, 2 * np.pi))


def wave(task: tuple[float, float], x: Doubles) -> Doubles:
    """Its values."""
    return task[0] * np.sin(x + task[1])


def reptile(rounds: int, seed: int, *, inner: int = INNER) -> Weights:
    """Move first weights toward those that a few steps on one task lead to, task after task (arXiv 1803.02999).

    With a single inner step it is plain training on all tasks at once.
    """
    rng = np.random.default_rng([seed, inner])
    weights = fresh(rng)
    for index in range(rounds):
        task, x = sine(rng), rng.uniform(-np.pi, np.pi, (POINTS, 1))
        learned = descend(weights, x, wave(task, x), inner)
        pace = 1 - index / rounds
        weights = [part + pace * (goal - part) for part, goal in zip(weights, learned, strict=True)]
    return weights


def meta_learning(rounds: int, seed: int) -> tuple[dict[str, float], dict[str, Doubles]]:
    """Error on new waves after a few steps on ten points, by where the steps start; and one wave with the answers."""
    starts = {
        "random": fresh(np.random.default_rng([seed, 0])),
        "all_tasks": reptile(rounds, seed, inner=1),
        "reptile": reptile(rounds, seed),
    }
    rng = np.random.default_rng([seed, 99])
    line = np.linspace(-np.pi, np.pi, 100)[:, None]
    errors: dict[str, list[float]] = {name: [] for name in starts}
    for _ in range(DRAWS):
        task, x = sine(rng), rng.uniform(-np.pi, np.pi, (POINTS, 1))
        answers = {name: answer(descend(each, x, wave(task, x), INNER), line) for name, each in starts.items()}
        for name, given in answers.items():
            errors[name].append(float(np.mean((given - wave(task, line)) ** 2)))
    shown = {"x": line, "truth": wave(task, line), "points_x": x, "points_y": wave(task, x), **answers}
    return {f"wave_error/{name}": float(np.mean(each)) for name, each in errors.items()}, shown
