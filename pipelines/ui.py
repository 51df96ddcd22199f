"""Brings MLflow into line with what the stages recorded, and opens its UI; a server has one of its own."""

import argparse
import os
import socket
import sys
from pathlib import Path

from pipelines.record import describe
from redoubt.core.errors import ends_in_one_line
from redoubt.tracking.sync import sync
from redoubt.tracking.uri import store_uri

HOST, PORT = "127.0.0.1", 5000


def main() -> None:
    """Sync, print the links, and become the UI."""
    argparse.ArgumentParser(prog="python -m pipelines.ui", description=__doc__).parse_args()
    uri = store_uri(Path.cwd())
    if not uri.startswith("http"):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, PORT)) == 0:
                sys.exit(
                    f"error: port {PORT} of {HOST} is taken, by an MLflow UI that runs already or by another program: "
                    f"open http://{HOST}:{PORT}, or end that program"
                )
    with ends_in_one_line():
        print(describe(sync(Path.cwd())), flush=True)
    if uri.startswith("http"):
        return
    # By the environment: a command line, with a password in it, can be read by everybody on the machine.
    os.environ["MLFLOW_BACKEND_STORE_URI"] = uri
    words = ["-m", "mlflow", "ui", "--host", HOST, "--port", str(PORT), "--workers", "1"]
    os.execv(sys.executable, [sys.executable, *words])  # noqa: S606


if __name__ == "__main__":
    main()
