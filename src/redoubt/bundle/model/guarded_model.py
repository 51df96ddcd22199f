"""The guarded model as it is served: the exported graphs under ONNX Runtime, the vote and the detector."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from pydantic import RootModel

from redoubt.bundle.base.errors import BundleError
from redoubt.bundle.base.io import LARGEST_BINARY, digest_folder, read_bytes, read_typed
from redoubt.bundle.base.types import Floats, Vote
from redoubt.bundle.batches import slices
from redoubt.bundle.model.guard_config import Draws, GuardConfig
from redoubt.bundle.model.onnx_repeats import skip_repeats
from redoubt.bundle.model.onnx_variants import keep_variants
from redoubt.bundle.model.quicken import quicken
from redoubt.bundle.model.untrusted import check_graph
from redoubt.bundle.schema import Schema

MODEL, PROOF = "model.onnx", "proof.onnx"
BUNDLE_FILES = ["arch.json", "guard.json", "labels.json", MODEL, "model.weights.h5", PROOF, "schema.json"]
# Stands alone in a champion's folder where no model cleared the gates.
NOT_PROMOTED = "NOT_PROMOTED"
ROWS_AT_ONCE = 256
# Of ONNX Runtime, unless told otherwise: the same on every machine, as far as a sum depends on it.
THREADS = 2
NOT_KEPT = "the model was opened for its guarded answers alone; open it with evaluates=True"
UNPROVEN = "nothing can be certified: a layer of the network has no interval bounds"
# In widths of the box: an honest input may lie a little outside what the training examples span, none lies far outside.
FAR = 1.0
# ONNX Runtime's exceptions have no base of their own.
_BROKEN_GRAPH = tuple(
    getattr(onnxruntime.capi.onnxruntime_pybind11_state, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")
)


Labels = RootModel[tuple[str, ...]]


@dataclass(frozen=True)
class Predictions:
    """What a guarded model says of a batch.

    Attributes:
        outputs: logits or values of every variant, `(examples, variants, outputs)`.
        vote: the answer: mean probabilities `(examples, classes)`, or the mean value `(examples, 1)`.
        score: how far squeezing moves the answer, `(examples,)`, >= 0 (arXiv 1704.01155).
        flagged: score above the calibrated threshold, or a number far outside (see `GuardedModel.outside`),
            `(examples,)`.
    """

    outputs: Floats
    vote: Floats
    score: Floats
    flagged: NDArray[np.bool_]


def softmax(logits: Floats) -> Floats:
    """Probabilities along the last axis."""
    # What `max` and `sum` do, less their overhead.
    largest: Floats = np.maximum.reduce(logits, axis=-1, keepdims=True)
    exponentials = np.exp(logits - largest)
    total: Floats = np.add.reduce(exponentials, axis=-1, keepdims=True)
    return exponentials / total


class GuardedModel:
    """Scaler + network + guard: one object, one digest, the same in evaluation and in service."""

    def __init__(
        self,
        graph: bytes,
        schema: Schema,
        guard: GuardConfig,
        digest: str = "",
        threads: int = THREADS,
        proof: bytes | None = None,
        evaluates: bool = True,
    ) -> None:
        """Open a session for answers, and one for proofs.

        Args:
            graph: model.onnx.
            schema: of the task.
            guard: its parts and threshold.
            digest: of the bundle; empty while it is being made.
            threads: of ONNX Runtime; 0 takes one per core.
            proof: proof.onnx; None where nothing is to be proven.
            evaluates: whether the unguarded network can be asked too, for which both graphs stay in memory.

        Raises:
            BundleError: a graph that is more than nodes and constants, or of other inputs and outputs than these.
        """
        self.schema, self.guard, self.digest = schema, guard, digest
        self._numeric, self._switches = schema.numeric, schema.switching
        # Made anew with every answer they would take a tenth of its time.
        self._variants, self._fixed, self._answering = guard.variants, len(guard.fixed_variants), guard.answering
        self._threads = threads
        self._graph, self._proof_graph = (graph if evaluates else None), (proof if evaluates else None)
        _check_fit(schema, guard)
        cut = guard.vote != "all"
        self._session = _open(graph, threads, MODEL, range(len(guard.variants)) if cut else None)
        _check_answers(self._session, schema, guard)
        self._proof: onnxruntime.InferenceSession | None = None
        if proof is not None:
            self._proof = _open(proof, threads, PROOF, [self._answering.start] if cut else None)
            _check_proof(self._proof, schema, guard)
        self._proves = self._proof is not None and _proves(self._proof)
        self._network: onnxruntime.InferenceSession | None = None
        self._network_proof: onnxruntime.InferenceSession | None = None

    @classmethod
    def load(cls, folder: Path, threads: int = THREADS, evaluates: bool = True) -> "GuardedModel":
        """Open a bundle.

        Args:
            folder: of its files.
            threads: as of `__init__`.
            evaluates: likewise.

        Raises:
            BundleError: a file is missing, cannot be read or does not fit the others; names the file and the field.
        """
        missing = [name for name in BUNDLE_FILES if not (folder / name).is_file()]
        if missing == [PROOF]:
            raise BundleError(
                f"{folder} is no whole bundle: {PROOF} missing; bundles of earlier versions have"
                " none: make it again with `dvc repro` (of zoo/: check it out again)"
            )
        if missing:
            raise BundleError(f"{folder} is no whole bundle: {', '.join(missing)} missing; run `dvc repro` again")
        try:
            schema, guard = read_typed(folder / "schema.json", Schema), read_typed(folder / "guard.json", GuardConfig)
            if not math.isfinite(guard.threshold):
                raise BundleError("guard.json: threshold: expected a finite number; without one nothing is flagged")
            if read_typed(folder / "labels.json", Labels).root != schema.labels:
                raise BundleError("labels.json holds other labels than schema.json")
            graph, proof = (read_bytes(folder / name, LARGEST_BINARY) for name in (MODEL, PROOF))
            read_bytes(folder / "model.weights.h5", LARGEST_BINARY)
            return cls(graph, schema, guard, digest_folder(folder, BUNDLE_FILES), threads, proof, evaluates)
        except OSError as error:
            raise BundleError(f"{folder} cannot be read: {error}") from None
        except BundleError as error:
            raise BundleError(f"{folder} cannot be read: {str(error).replace(f'{folder}/', '')}") from None

    def behind(self, vote: Vote) -> "GuardedModel":
        """The same graphs where other variants give the answer.

        Args:
            vote: which do.

        Returns:
            A model with the digest of this one, whose files it was made of.

        Raises:
            BundleError: the model was opened for its guarded answers alone.
        """
        if self._graph is None:
            raise BundleError(NOT_KEPT)
        guard = self.guard.model_copy(update={"vote": vote})
        return GuardedModel(self._graph, self.schema, guard, self.digest, self._threads, self._proof_graph)

    @property
    def variants(self) -> tuple[str, ...]:
        """Names along the second axis of `Predictions.outputs`."""
        return self._variants

    @property
    def threshold(self) -> float:
        """Adversarial score above which an input is flagged."""
        return self.guard.threshold

    def network(self, x: Floats) -> Floats:
        """The unguarded network's logits or values, `(examples, outputs)`, by the same nodes of the same graph.

        Raises:
            BundleError: the model was opened for its guarded answers alone.
        """
        if self._graph is None:
            raise BundleError(NOT_KEPT)
        if self._network is None:
            # Evaluation alone asks for this; the service neither needs nor installs the onnx package.
            from redoubt.bundle.model.subgraph import extract

            self._network = _open(extract(self._graph, "network_input", "network_output"), self._threads, MODEL)
        return _run(self._network, "network_output", {"network_input": x})

    def predict(self, x: Floats, rng: np.random.Generator) -> Predictions:
        """Answer a batch.

        Args:
            x: inputs in raw units, float32 `(examples, *schema.shape)`.
            rng: the guard's randomness: seeded in evaluation, fresh entropy in service.
        """
        return self.predict_drawn(x, self.guard.draw(rng, len(x)))

    def predict_drawn(self, x: Floats, draws: Draws) -> Predictions:
        """Answer a batch for given draws of the guard, as `GuardConfig.draw` makes them."""
        outputs = _run(self._session, "variants", {"x": x, **draws})
        opinions = softmax(outputs) if self.schema.is_classification else outputs
        score = self._score(opinions)
        # What `mean` does, less its overhead.
        answering = opinions[:, self._answering]
        vote = np.add.reduce(answering, axis=1) / np.float32(answering.shape[1])
        flagged = score > self.guard.threshold
        if self.guard.kind == "table":
            flagged |= (self.outside(x) > FAR).any(axis=1)
        return Predictions(outputs, vote, score, flagged)

    def outside(self, x: Floats) -> NDArray[np.float64]:
        """How far each number lies outside the box that training and attacks saw, as of `GuardConfig.beyond`.

        Nothing is known of such an input: robust accuracy was measured inside. Above `FAR` the input is flagged.
        """
        beyond = self.guard.beyond(x)
        return np.where(self._numeric, beyond, 0.0) if beyond.size else beyond

    @property
    def proves(self) -> bool:
        """Whether the network's layers have interval bounds."""
        return self._proves

    def prove(self, x: Floats, eps: float | Floats, rng: np.random.Generator) -> Floats:
        """What no input within L-inf eps can change, for these draws of the guard.

        Args:
            x: inputs in raw units, float32 `(examples, *schema.shape)`.
            eps: in units of `Bounds.scale`, >= 0; one, or one per example.
            rng: as of `answer`, whose draws it takes if it stands where that stood.

        Returns:
            Per variant that votes the smallest lead of each class over all others `(examples, voting, classes)`, above
            0 only for a class that keeps the first place everywhere in the ball; of a number its ends
            `(examples, voting, 2)`. Where categories are mutable it holds for all that an attacker may switch them to,
            and says nothing (-inf, an endless interval) of a table with too many of them; see `Switches`.

        Raises:
            BundleError: the network has no bounds; see `proves`.
        """
        return self.prove_drawn(x, eps, self.guard.draw(rng, len(x)))

    def prove_drawn(self, x: Floats, eps: float | Floats, draws: Draws) -> Floats:
        """Prove as `prove` does, for given draws of the guard.

        Raises:
            BundleError: the network has no bounds; see `proves`.
        """
        if self._proof is None or not self._proves:
            raise BundleError(UNPROVEN)
        session, each = self._proof, np.broadcast_to(np.asarray(eps, dtype=np.float32), len(x))
        return self._over_switches(x, each, lambda x: _run(session, "proof", {"x": x, "eps": each, **draws}))

    def prove_network(self, x: Floats, eps: float) -> Floats:
        """Prove as `prove` does, of the network alone: `(examples, columns)`, by the same nodes of the same graph.

        Raises:
            BundleError: the network has no bounds, see `proves`, or as of `network`.
        """
        if not self.proves:
            raise BundleError(UNPROVEN)
        if self._proof_graph is None:
            raise BundleError(NOT_KEPT)
        if self._network_proof is None:
            # As for `network`.
            from redoubt.bundle.model.subgraph import first_variant

            self._network_proof = _open(first_variant(self._proof_graph), self._threads, PROOF)
        session, each = self._network_proof, np.full(len(x), eps, dtype=np.float32)
        name = session.get_outputs()[0].name
        return self._over_switches(x, each, lambda x: _run(session, name, {"x": x, "eps": each}))

    def _over_switches(self, x: Floats, eps: Floats, prove: Callable[[Floats], Floats]) -> Floats:
        """What is proven of the examples and of each record that mutable categories make of them; of eps 0 no other."""
        if self._switches is None or not (eps > 0).any():
            return prove(x)
        return self._switches.worst(x, prove, ends=not self.schema.is_classification)

    def _score(self, opinions: Floats) -> Floats:
        change = np.abs(opinions[:, 1 : self._fixed] - opinions[:, :1])
        score: Floats = np.maximum.reduce(np.add.reduce(change, axis=2), axis=1) / np.float32(self.guard.output_scale)
        return score


def _run(session: onnxruntime.InferenceSession, output: str, feeds: dict[str, Any]) -> Floats:
    """Run in pieces: a whole test split at once would hold every variant's activations in memory."""
    rows = len(next(iter(feeds.values())))
    pieces = [feeds]
    if rows > ROWS_AT_ONCE:
        pieces = [{name: array[part] for name, array in feeds.items()} for part in slices(rows, ROWS_AT_ONCE)]
    try:
        found: list[Floats] = [session.run([output], piece)[0] for piece in pieces]
        return found[0] if len(found) == 1 else np.concatenate(found)
    except _BROKEN_GRAPH as error:
        raise BundleError(f"the graph of '{output}' cannot be run: {_cause(error)}") from None


def _cause(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _check_fit(schema: Schema, guard: GuardConfig) -> None:
    """Refuse a guard that is not made for these inputs and outputs.

    Raises:
        BundleError: names what differs.
    """
    if len(schema.labels) == 1:
        raise BundleError(
            f"schema.json: labels: expected at least two classes, or none; got {schema.labels[0]!r} alone"
        )
    if guard.shape != schema.shape or (guard.kind == "image") != (schema.kind == "image"):
        raise BundleError(
            f"guard.json is of kind {guard.kind} and shape {list(guard.shape)}, schema.json of {schema.kind} and"
            f" {list(schema.shape)}"
        )


def _draws(guard: GuardConfig) -> dict[str, list[int]]:
    return {name: [*each.shape[1:]] for name, each in guard.draw(np.random.default_rng(0), 1).items()}


def _check_answers(session: onnxruntime.InferenceSession, schema: Schema, guard: GuardConfig) -> None:
    """Refuse a model.onnx that takes or gives anything else than this guard and schema."""
    _check_ends(f"{MODEL} takes", session.get_inputs(), {"x": [*schema.shape], **_draws(guard)})
    _check_ends(f"{MODEL} gives", session.get_outputs(), {"variants": [len(guard.variants), schema.outputs]})


def _check_proof(session: onnxruntime.InferenceSession, schema: Schema, guard: GuardConfig) -> None:
    """Refuse a proof.onnx likewise; that of a network without interval bounds gives what nobody asks for."""
    _check_ends(f"{PROOF} takes", session.get_inputs(), {"x": [*schema.shape], "eps": [], **_draws(guard)})
    proof = {"proof": [len(guard.voting), max(schema.outputs, 2)]}
    _check_ends(f"{PROOF} gives", session.get_outputs(), proof if _proves(session) else {"unproven": []})


def _proves(session: onnxruntime.InferenceSession) -> bool:
    return any(output.name == "proof" for output in session.get_outputs())


def _check_ends(verb: str, ends: list[Any], expected: dict[str, list[int]]) -> None:
    given = {each.name: each.shape[1:] for each in ends}
    if given != expected:
        raise BundleError(f"{verb} {str(given)[:300]} per row; schema.json and guard.json expect {expected}")


def _open(graph: bytes, threads: int, said: str, variants: Sequence[int] | None = None) -> onnxruntime.InferenceSession:
    """A session; of these variants alone, if not of all."""
    model = check_graph(graph, said)
    if variants is not None:
        keep_variants(model, variants)
    quicken(model)
    skip_repeats(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    # Else it would take a file of its own other format, whatever else the bytes can be read as.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except _BROKEN_GRAPH as error:
        raise BundleError(f"{said}: {_cause(error)}") from None
