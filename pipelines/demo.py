"""Serves the zoo with a page to attack it on; nothing is trained, and nothing leaves this machine."""

import argparse
import os
import socket
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from threading import Timer

from redoubt.core.errors import RedoubtError

HOST, PORT = "127.0.0.1", 3000
ZOO = Path(__file__).resolve().parents[1] / "zoo"
# Without a card: the service does not serve it, the page shows it for contrast.
NATURAL = "mnist-natural"


def main() -> None:
    """Load the zoo's bundles, print the link, and answer until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.demo", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT, help=f"default {PORT}")
    parser.add_argument("--models", type=Path, default=ZOO, help="folder of the bundles that are served; default zoo/")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    asked = parser.parse_args()
    with socket.socket() as probe:
        if probe.connect_ex((HOST, asked.port)) == 0:
            sys.exit(f"error: port {asked.port} of {HOST} is taken: end the other program, or give another by --port")
    os.environ["REDOUBT_MODELS"] = str(asked.models.resolve())
    url = f"http://{HOST}:{asked.port}"
    try:
        serve(asked.port, lambda: say(url, asked.open))
    except RedoubtError as error:
        sys.exit(f"error: {error}")


def serve(port: int, ready: Callable[[], None]) -> None:
    """Answer at a port until interrupted; the service and what the demo adds to it are one application.

    Raises:
        RedoubtError: a bundle of the zoo cannot be read.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import uvicorn

    from pipelines._demo import Demo
    from serving.pages import pages
    from serving.service import Redoubt

    names = [NATURAL, *sorted(path.parent.name for path in ZOO.glob("*/card.json"))]
    service = Redoubt.to_asgi()  # type: ignore[attr-defined]
    demo = Demo(service, {name: ZOO / name for name in names}, ZOO / "mnist-examples.npz")
    pages.state.demo = demo.told()
    ready()
    uvicorn.run(demo, host=HOST, port=port, log_level="warning")


def say(url: str, opens: bool) -> None:
    """Print the link once the server is about to listen, and open it if that was asked for."""
    print(f"Open {url} (end with Ctrl-C)", flush=True)
    if opens:
        Timer(1.0, webbrowser.open, [url]).start()


if __name__ == "__main__":
    main()
