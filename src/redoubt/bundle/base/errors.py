"""The errors that a bundle, or an input to it, can cause; each message is one sentence for a user."""


class RedoubtError(ValueError):
    """What a user can mend: the message says in one sentence what came, what was expected and what to do."""


class BundleError(RedoubtError):
    """A bundle folder that is not whole or not readable; the message names the file."""


class InputError(RedoubtError):
    """An input that does not fit the schema; the message names the example, the column and the value."""
