"""Does a network know that it does not know, why does it say so, and what if tests differ from training?"""

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.ndimage import rotate
from sklearn.metrics import roc_auc_score

from redoubt.bundle.model.guarded_model import softmax
from redoubt.core.types import Batch, Floats
from redoubt.studies.contract import Doubles
from redoubt.studies.digit_networks import MLP, learn, new_network

# Digits that the network learns; the others it never sees.
KNOWN = 7
SURE = 0.9
ANGLE = 30.0
EXPLAINED = 40
WAYS = ("occlusion", "gradient", "random")


def accuracy(network: keras.Model, batch: Batch) -> float:
    """Accuracy."""
    return float(np.mean(chances(network, batch.x).argmax(axis=1) == batch.y))


def chances(network: keras.Model, x: Floats) -> Floats:
    """Probabilities `(rows, classes)`."""
    return softmax(network(tf.constant(x), training=False).numpy())


def strangers(known: Floats, unseen: Floats, seed: int) -> dict[str, Floats]:
    """Images that have no correct answer: unseen digits, known ones with their pixels shuffled, and noise."""
    rng = np.random.default_rng(seed)
    shuffled = rng.permuted(known.reshape(len(known), -1), axis=1).reshape(known.shape)
    return {"unseen": unseen, "shuffled": shuffled, "noise": rng.random(known.shape).astype(np.float32)}


def anomaly(network: keras.Model, test: Batch, seed: int) -> tuple[dict[str, float], dict[str, Floats]]:
    """How well confidence, the largest probability, tells known digits from strangers; and the confidences."""
    known = test.x[test.y < KNOWN]
    pictures = {"known": known, **strangers(known, test.x[test.y >= KNOWN], seed)}
    confidence = {name: chances(network, x).max(axis=1) for name, x in pictures.items()}
    found = {f"sure/{name}": float(np.mean(each > SURE)) for name, each in confidence.items()}
    for name in pictures:
        if name != "known":
            found[f"auroc/{name}"] = auroc(confidence["known"], confidence[name])
    return found, confidence


def auroc(known: Floats, strange: Floats) -> float:
    """Chance that a known picture scores above a strange one, ties half."""
    truth = np.concatenate([np.ones(len(known)), np.zeros(len(strange))])
    return float(roc_auc_score(truth, np.concatenate([known, strange])))


def occlusion(network: keras.Model, x: Floats, y: NDArray[np.int64]) -> Floats:
    """How much the true class's probability falls when a window round a pixel is blackened, `(rows, side, side)`."""
    side = x.shape[1]
    width = max(2, side // 7)
    before, places = _truth(network, x, y), range(0, side - width + 1, width // 2)
    drop, count = np.zeros(x.shape[:3], np.float32), np.zeros(x.shape[1:3], np.float32)
    for top in places:
        for left in places:
            hidden = x.copy()
            hidden[:, top : top + width, left : left + width] = 0.0
            drop[:, top : top + width, left : left + width] += (before - _truth(network, hidden, y))[:, None, None]
            count[top : top + width, left : left + width] += 1
    return (drop / np.maximum(count, 1)).astype(np.float32)


def gradient_times_input(network: keras.Model, x: Floats, y: NDArray[np.int64]) -> Floats:
    """Each pixel's share of the true class's lead over the mean logit, to first order, `(rows, side, side)`."""
    picture = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(picture)
        logits = network(picture, training=False)
        lead = tf.gather(logits, y, batch_dims=1) - tf.reduce_mean(logits, axis=1)
    return np.asarray((tape.gradient(lead, picture) * picture).numpy().sum(axis=-1))


def deletion(network: keras.Model, x: Floats, y: NDArray[np.int64], importance: Floats, steps: int = 16) -> Doubles:
    """Mean probability of the true class as the most important pixels are blackened first, `(steps + 1,)`."""
    order = np.argsort(-importance.reshape(len(x), -1), axis=1, kind="stable")
    flat, pixels = x.reshape(len(x), -1, x.shape[-1]), order.shape[1]
    curve = []
    for step in range(steps + 1):
        left = flat.copy()
        np.put_along_axis(left, order[:, : step * pixels // steps, None], 0.0, axis=1)
        curve.append(_truth(network, left.reshape(x.shape), y).mean())
    return np.array(curve, np.float64)


def explanations(network: keras.Model, test: Batch, seed: int) -> tuple[dict[str, float], dict[str, Doubles], Floats]:
    """Mean height of the deletion curve by explanation, the curves, and the maps by occlusion."""
    x, y = test.x[:EXPLAINED], test.y[:EXPLAINED]
    maps = dict(
        zip(
            WAYS,
            (
                occlusion(network, x, y),
                gradient_times_input(network, x, y),
                np.random.default_rng(seed).random(x.shape[:3]).astype(np.float32),
            ),
            strict=True,
        )
    )
    curves = {name: deletion(network, x, y, each) for name, each in maps.items()}
    return {f"deletion/{name}": float(curve.mean()) for name, curve in curves.items()}, curves, maps["occlusion"]


def marked(batch: Batch) -> Batch:
    """A white pixel in the first row that gives the digit away, as Clever Hans's master did."""
    x, side = batch.x.copy(), batch.x.shape[1]
    x[:, 0] = 0.0
    x[np.arange(len(x)), 0, batch.y * side // 10] = 1.0
    return Batch(x, batch.y)


def clever_hans(train: Batch, test: Batch, epochs: int, seed: int) -> dict[str, float]:
    """Learn marked digits: accuracy with and without the mark, and how much of the explanation lies on its row."""
    network = learn(new_network(MLP, train.x, seed), marked(train), epochs, 64, seed)
    seen = marked(test)
    weight = np.abs(gradient_times_input(network, seen.x, seen.y))
    return {
        "hans/marked": accuracy(network, seen),
        "hans/unmarked": accuracy(network, test),
        "hans/explained_by_mark": float(weight[:, 0].sum() / weight.sum()),
    }


def mismatched(x: Floats) -> dict[str, Floats]:
    """Test pictures as another camera would take them."""
    return {
        "darker": x * np.float32(0.4),
        "inverted": np.float32(1.0) - x,
        "rotated": turned(x),
    }


def turned(x: Floats) -> Floats:
    """Every picture turned by `ANGLE` degrees, bilinear, black beyond the edge."""
    return np.clip(rotate(x, ANGLE, axes=(2, 1), reshape=False, order=1), 0.0, 1.0).astype(np.float32)


def mismatch(network: keras.Model, train: Batch, test: Batch, epochs: int, seed: int) -> dict[str, float]:
    """Accuracy where tests are unlike training, and on turned digits once turned ones are learned too."""
    found = {f"mismatch/{name}": accuracy(network, Batch(x, test.y)) for name, x in mismatched(test.x).items()}
    both = Batch(np.concatenate([train.x, turned(train.x)]), np.concatenate([train.y, train.y]))
    wider = learn(new_network(MLP, train.x, seed), both, epochs, 64, seed)
    found["mismatch/rotated_learned"] = accuracy(wider, Batch(turned(test.x), test.y))
    return found


def _truth(network: keras.Model, x: Floats, y: NDArray[np.int64]) -> Floats:
    answer: Floats = chances(network, x)[np.arange(len(y)), y]
    return answer
