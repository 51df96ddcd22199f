"""The command `redoubt`: one line per mistake, no traceback for what the user did wrong."""

import argparse
import sys
from collections.abc import Sequence
from typing import Never

from redoubt.cli import attack, certify, study, verify


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
    parser = Parser(
        prog="redoubt",
        description="Measure a model's adversarial robustness, certify it, verify a bundle, run the course.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    attack.add_to(commands)
    certify.add_to(commands)
    verify.add_to(commands)
    study.add_to(commands)
    args = parser.parse_args(argv)
    try:
        return int(args.run(args))
    except ValueError as error:
        if not type(error).__module__.startswith("redoubt"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: interrupted before anything was finished", file=sys.stderr)
        return 1
