"""One compiled network for all folds of a cross-validation: tracing a small training takes longer than running it."""

import keras
import numpy as np
import tensorflow as tf

from redoubt.bundle.schema import Schema
from redoubt.core.types import Batch, Floats
from redoubt.data.prepare.scaling import Scaler
from redoubt.models.networks import SCALER, TARGET_UNITS, build, scaling
from redoubt.params.settings.networks import ModelParams
from redoubt.training.balance import Weights
from redoubt.training.determinism import make_deterministic
from redoubt.training.fit import History, Plan, compile_network, fit, inference, on_rows


class FoldTrainer:
    """Trains one network on fold after fold, each time from the same first weights.

    Folds differ in their examples and in the statistics of these. Inputs are scaled before the network sees them, and a
    regression's units are variables, so that neither is part of what was traced.
    """

    def __init__(self, model: ModelParams, schema: Schema, plan: Plan) -> None:
        """Prepare to train; nothing is built yet.

        Args:
            model: kind and sizes of the network.
            schema: of the task.
            plan: how long and how fast.
        """
        self._model, self._schema, self._plan = model, schema, plan
        self._traced: tuple[int, Weights | None] | None = None

    def train(self, scaler: Scaler, train: Batch, validation: Batch, weights: Weights | None) -> History:
        """Train on one fold.

        Args:
            scaler: statistics of the training examples.
            train: examples to learn from.
            validation: examples to measure on after every epoch.
            weights: per class; None weighs all alike.

        Returns:
            As `fit`.
        """
        traced = self._plan.updates(len(train)), weights
        if traced != self._traced:
            make_deterministic(self._plan.seed, threads=1)
            self._network = self._compiled(scaler, len(train), weights)
            self._outputs, self._traced = inference(self._network), traced
            self._network.optimizer.build(self._network.trainable_variables)
            self._first = [variable.numpy() for variable in self._variables()]
        for variable, value in zip(self._variables(), self._first, strict=True):
            variable.assign(value)
        for layer in self._network.layers:
            if layer.name == TARGET_UNITS:
                layer.scale.assign(scaler.target_std)
                layer.offset.assign(scaler.target_mean)
        learn, watch = (Batch(self._scaled(scaler, each.x), each.y) for each in (train, validation))
        validate = on_rows(self._network, watch, weights, outputs=self._outputs)
        return fit(self._network, self._network, learn, validate, self._plan)

    def _compiled(self, scaler: Scaler, rows: int, weights: Weights | None) -> keras.Model:
        whole = build(self._model, self._schema, scaler, self._plan.seed)
        place = next(index for index, layer in enumerate(whole.layers) if layer.name == SCALER)
        for layer in whole.layers:
            if layer.name == TARGET_UNITS:
                layer.scale, layer.offset = (
                    tf.Variable(value, trainable=False, dtype=tf.float32) for value in (layer.scale, layer.offset)
                )
        network = keras.Sequential([keras.Input(self._schema.shape), *whole.layers[place + 1 :]])
        compile_network(network, self._plan, rows, self._schema.outputs, weights)
        return network

    def _variables(self) -> list[keras.Variable]:
        return [*self._network.variables, *self._network.optimizer.variables]

    def _scaled(self, scaler: Scaler, x: Floats) -> Floats:
        """What the network's first layers would make of inputs, by the same optimized graph."""
        layers = keras.Sequential([keras.Input(self._schema.shape), *scaling(self._model, scaler)])
        found: Floats = np.asarray(inference(layers)(x))
        return found
