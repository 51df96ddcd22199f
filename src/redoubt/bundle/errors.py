"""The errors that a bundle, or an input to it, can cause; each message is one sentence for a user."""


class BundleError(ValueError):
    """A bundle folder that is not whole or not readable; the message names the file."""


class InputError(ValueError):
    """An input that does not fit the schema; the message names the example, the column and the value."""
