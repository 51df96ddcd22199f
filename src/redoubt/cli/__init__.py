"""The command `redoubt`: one line per mistake, no traceback for what the user did wrong."""

import argparse
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Sequence
from typing import Never

from redoubt.core import surroundings
from redoubt.core.errors import as_user_error

# In the order of the help.
COMMANDS = (
    "init",
    "quarantine",
    "attack",
    "audit",
    "certify",
    "predict",
    "explain",
    "verify",
    "leaderboard",
    "compare",
    "study",
    "completion",
)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; argparse would print the usage too."""

    def error(self, message: str) -> Never:
        """End with status 2."""
        sys.stderr.write(f"error: {message}; see `{self.prog} --help`\n")
        sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the words after `redoubt`; those of the process if None.

    Returns:
        0 if all was done, 1 if it broke off and what was done so far was kept, 2 if it could not begin.
    """
    surroundings.settle()
    parser = Parser(
        prog="redoubt",
        description="Make a task of your data; measure a model's adversarial robustness, certify it, verify a bundle; "
        "run the course.",
    )
    version = f"%(prog)s {importlib.metadata.version('redoubt')}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    words = list(argv) if argv is not None else sys.argv[1:]
    for name in _asked(words):
        importlib.import_module(f"redoubt.cli.{name}").add_to(commands)
    try:
        args = parser.parse_args(words)
        args.words = words
        status = int(args.run(args))
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Whoever read, such as `head`, has read enough; what is left to print goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("error: interrupted before anything was finished", file=sys.stderr)
        return 1
    except Exception as error:
        said = as_user_error(error)
        if said is None:
            raise
        print(f"error: {said}", file=sys.stderr)
        return 2


def _asked(words: Sequence[str]) -> Sequence[str]:
    """The subcommand that is run, so that no other is imported; all where one must be listed or completed."""
    first = words[0] if words else ""
    return (first,) if first in COMMANDS and first != "completion" else COMMANDS
