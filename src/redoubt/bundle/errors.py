"""The errors that a bundle, or an input to it, can cause; each message is one sentence for a user."""


class RedoubtError(ValueError):
    """What a user can mend: the message says in one sentence what came, what was expected and what to do."""
