"""What a Keras model takes: one array, of floats or of whole numbers that it casts or looks up."""

import keras

# Layers that take codes, such as those of words: what lies between two whole numbers is one of them, cut off.
LOOK_UP = ("Embedding", "IntegerLookup", "CategoryEncoding", "Hashing")


def plain(network: keras.Model) -> keras.Model:
    """A model of one input and one output without the dictionary or list that holds them."""
    if isinstance(network, keras.Sequential):
        return network
    if isinstance(network.input, dict | list | tuple) or isinstance(network.output, dict | list | tuple):
        return keras.Model(network.inputs[0], network.outputs[0])
    return network


def takes_whole_numbers(network: keras.Model) -> bool:
    """Whether its inputs are cast to whole numbers, by their type or by the first layer."""
    layers = [layer for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]
    return _is_whole(network) or (bool(layers) and type(layers[0]).__name__ in LOOK_UP)


def with_float_inputs(network: keras.Model) -> keras.Model:
    """The same layers behind an input of floats, so that gradients reach it; at whole numbers it says the same."""
    if not _is_whole(network):
        return network
    inputs = keras.Input(network.input_shape[1:], dtype="float32")
    return keras.models.clone_model(network, input_tensors=inputs, clone_function=lambda layer: layer)


def _is_whole(network: keras.Model) -> bool:
    return "int" in str(network.inputs[0].dtype)
