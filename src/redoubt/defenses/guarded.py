"""The guarded model as it is served: the exported graphs under ONNX Runtime, the vote and the detector."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from pydantic import ValidationError

from redoubt.data.store import digest_folder
from redoubt.defenses.config import GuardConfig
from redoubt.tasks import Floats, Schema

PROOF = "proof.onnx"
BUNDLE_FILES = ["arch.json", "guard.json", "labels.json", "model.onnx", "model.weights.h5", PROOF, "schema.json"]
# Stands alone in a champion's folder where no model cleared the gates.
NOT_PROMOTED = "NOT_PROMOTED"
ROWS_AT_ONCE = 256
# ONNX Runtime's exceptions have no base of their own.
_BROKEN_GRAPH = tuple(
    getattr(onnxruntime.capi.onnxruntime_pybind11_state, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented")
)


class BundleError(ValueError):
    """A bundle folder that is not whole or not readable; the message names the file."""


@dataclass(frozen=True)
class Answers:
    """What a guarded model says of a batch.

    Attributes:
        outputs: logits or values of every variant, `(rows, variants, outputs)`.
        vote: the answer: mean probabilities `(rows, classes)`, or the mean value `(rows, 1)`.
        score: how far squeezing moves the answer, `(rows,)`, >= 0 (arXiv 1704.01155).
        flagged: score above the calibrated threshold, `(rows,)`.
    """

    outputs: Floats
    vote: Floats
    score: Floats
    flagged: NDArray[np.bool_]


def softmax(logits: Floats) -> Floats:
    """Probabilities along the last axis."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


class GuardedModel:
    """Scaler + network + guard: one object, one digest, the same in evaluation and in service."""

    def __init__(
        self,
        graph: bytes,
        schema: Schema,
        guard: GuardConfig,
        digest: str = "",
        threads: int = 0,
        proof: bytes | None = None,
    ) -> None:
        """Open a session for answers, and one for proofs.

        Args:
            graph: model.onnx.
            schema: of the task.
            guard: its parts and threshold.
            digest: of the bundle; empty while it is being made.
            threads: of ONNX Runtime; 0 leaves the choice to it.
            proof: proof.onnx; None where nothing is to be proven.
        """
        self.schema, self.guard, self.digest = schema, guard, digest
        self._graph, self._threads = graph, threads
        self._session = _open(graph, threads)
        self._proof = None if proof is None else _open(proof, threads)
        self._network: onnxruntime.InferenceSession | None = None

    @classmethod
    def load(cls, folder: Path, threads: int = 0) -> "GuardedModel":
        """Open a bundle.

        Raises:
            BundleError: a file is missing or cannot be read.
        """
        missing = [name for name in BUNDLE_FILES if not (folder / name).is_file()]
        if missing == [PROOF]:
            raise BundleError(
                f"{folder} is no whole bundle: {PROOF} missing; one made before answers and proofs had a graph each has"
                " none: make it again with `dvc repro` (of zoo/: check it out again)"
            )
        if missing:
            raise BundleError(f"{folder} is no whole bundle: {', '.join(missing)} missing; run `dvc repro` again")
        try:
            schema = Schema.model_validate_json((folder / "schema.json").read_bytes())
            guard = GuardConfig.model_validate_json((folder / "guard.json").read_bytes())
            graph, proof = ((folder / name).read_bytes() for name in ("model.onnx", PROOF))
            return cls(graph, schema, guard, digest_folder(folder, BUNDLE_FILES), threads, proof)
        except (ValidationError, *_BROKEN_GRAPH) as error:
            raise BundleError(f"{folder} cannot be read: {error}") from None

    @property
    def variants(self) -> tuple[str, ...]:
        """Names along the second axis of `Answers.outputs`."""
        return self.guard.variants

    @property
    def threshold(self) -> float:
        """Adversarial score above which an input is flagged."""
        return self.guard.threshold

    def network(self, x: Floats) -> Floats:
        """The unguarded network's logits or values, `(rows, outputs)`: the same nodes, cut out of the same graph."""
        if self._network is None:
            # Evaluation alone asks for this; the service neither needs nor installs the onnx package.
            from redoubt.models.onnx_parts import extract

            self._network = _open(extract(self._graph, "network_input", "network_output"), self._threads)
        return _run(self._network, "network_output", {"network_input": x})

    def answer(self, x: Floats, rng: np.random.Generator) -> Answers:
        """Answer a batch.

        Args:
            x: inputs in raw units, float32 `(rows, *schema.shape)`.
            rng: the guard's randomness: seeded in evaluation, fresh entropy in service.
        """
        outputs = _run(self._session, "variants", {"x": x, **self.guard.draw(rng, len(x))})
        opinions = softmax(outputs) if self.schema.labels else outputs
        score = self._score(opinions)
        return Answers(outputs, opinions.mean(axis=1), score, score > self.guard.threshold)

    @property
    def proves(self) -> bool:
        """Whether the network's layers have interval bounds."""
        return self._proof is not None and any(output.name == "proof" for output in self._proof.get_outputs())

    def prove(self, x: Floats, eps: float | Floats, rng: np.random.Generator) -> Floats:
        """What no input within L-inf eps can change, for these draws of the guard.

        Args:
            x: inputs in raw units, float32 `(rows, *schema.shape)`.
            eps: in units of `Bounds.scale`, >= 0; one, or one per row.
            rng: as of `answer`, whose draws it takes if it stands where that stood.

        Returns:
            Per variant the smallest lead of each class over all others `(rows, variants, classes)`, above 0 only for
            a class that keeps the first place everywhere in the ball; of a number its ends `(rows, variants, 2)`.

        Raises:
            BundleError: the network has no bounds; see `proves`.
        """
        if self._proof is None or not self.proves:
            raise BundleError("nothing can be proven: a layer of the network has no interval bounds")
        each = np.broadcast_to(np.asarray(eps, dtype=np.float32), len(x))
        return _run(self._proof, "proof", {"x": x, "eps": each, **self.guard.draw(rng, len(x))})

    def _score(self, opinions: Floats) -> Floats:
        fixed = len(self.guard.fixed_variants)
        moved = np.abs(opinions[:, 1:fixed] - opinions[:, :1]).sum(axis=2).max(axis=1)
        return moved / np.float32(self.guard.output_scale)


def _run(session: onnxruntime.InferenceSession, output: str, feeds: dict[str, Any]) -> Floats:
    """Run in pieces: a whole test split at once would hold every variant's activations in memory."""
    rows = len(next(iter(feeds.values())))
    starts = range(0, max(rows, 1), ROWS_AT_ONCE)
    pieces = [{name: array[start : start + ROWS_AT_ONCE] for name, array in feeds.items()} for start in starts]
    return np.concatenate([session.run([output], piece)[0] for piece in pieces])


def _open(graph: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
