"""A port that cannot be had is said in one sentence, before BentoML's servers fail on it with a traceback."""

import errno
import os
import socket
import sys

import click


def refuse_taken() -> None:
    """End `bentoml serve` with one sentence if its port cannot be had; do nothing in any other process."""
    command = click.get_current_context(silent=True)
    if command is None or command.info_name != "serve":
        return
    host, port = command.params.get("host"), command.params.get("port")
    if isinstance(host, str) and isinstance(port, int) and (trouble := _trouble(host, port)):
        sys.exit(f"error: {trouble}")


def _trouble(host: str, port: int) -> str | None:
    if not 0 <= port < 2**16:
        return f"port {port} came; expected a number below {2**16}: give another by --port"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: a port that was let go of a moment ago can be had.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        number = error.errno
        if number == errno.EADDRINUSE:
            return f"port {port} of {host} is taken by another program: end that one, or give another port by --port"
        if number == errno.EACCES:
            return f"port {port} is for the system's own programs: give one from 1024 up by --port"
        why = os.strerror(number) if number is not None and number > 0 else str(error)
        return f"{host}:{port} is no address that this machine can listen at ({why}): correct --host or --port"
    return None
