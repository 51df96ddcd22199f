"""Settings of the machine, the shell or another project that would change what is computed, or stop it: overridden."""

import codecs
import io
import os
import sys
import unicodedata
from pathlib import Path

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# What is not a letter with marks, or a digit raised or lowered, and yet has a spelling in ASCII.
SPELLINGS = {
    "×": "x",
    "·": "*",
    "±": "+-",
    "≤": "<=",
    "≥": ">=",
    "≈": "~",
    "→": "->",
    "–": "-",
    "—": "-",
    "−": "-",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "•": "*",
    "│": "|",
    "█": "#",
    "ε": "eps",
    "σ": "sigma",
}


def settle() -> None:
    """Settle the surroundings of this process and of those it starts; call it before anything is imported or printed.

    Matplotlib draws into files, this machine is asked without a proxy, and a terminal that lacks a character is given
    another one instead of an exception. (Keras: see `redoubt.__init__` and `quiet.settle_keras`.)
    """
    # A notebook names its own backend, which a command started from it may not have.
    os.environ["MPLBACKEND"] = "agg"
    _exempt_loopback()
    _open_closed()
    codecs.register_error("redoubt-plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="redoubt-plain")


def _open_closed() -> None:
    """Give a process that was started without one of its three streams one that leads nowhere.

    Else what is printed fails, and the first file that is opened gets the stream's number, and its messages.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - until the process ends


def _exempt_loopback() -> None:
    """Have every HTTP library ask this machine directly, where the shell names a proxy for the rest of the world."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [host.strip() for host in given.split(",") if host.strip()]
    if "*" not in hosts:
        hosts += [host for host in LOOPBACK if host not in hosts]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(hosts)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replace what an encoding lacks by its nearest spelling in ASCII, else by a question mark."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_spelled, error.object[error.start : error.end])), error.end


def _spelled(character: str) -> str:
    plain = unicodedata.normalize("NFKD", SPELLINGS.get(character, character))
    return plain.encode("ascii", "ignore").decode() or "?"
