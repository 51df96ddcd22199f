"""Asks a running service for a move: `python -m serving.control rollback digits`, `python -m serving.control reload`.

Reads the token from REDOUBT_ADMIN_TOKEN, as the service does.
"""

import argparse
import json
import os
import sys
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from serving.admin import RELOAD, ROLLBACK, TOKEN


def main() -> None:
    """Ask, and print what is served now; end with one sentence if the move was not made."""
    parser = argparse.ArgumentParser(prog="python -m serving.control", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:3000", help="of the service; default %(default)s")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("reload", help="serve what lies in the models folder now")
    verbs.add_parser("rollback", help="serve what was served before").add_argument("task")
    said = parser.parse_args()
    path = RELOAD if said.verb == "reload" else f"{ROLLBACK}?{urlencode({'task': said.task})}"
    headers = {"Authorization": f"Bearer {os.environ.get(TOKEN, '')}"}
    request = Request(said.url.rstrip("/") + path, method="POST", headers=headers)  # noqa: S310
    try:
        # No proxy: a service is asked on its own network.
        with build_opener(ProxyHandler({})).open(request, timeout=120) as answer:
            found = json.load(answer)
    except HTTPError as error:
        sys.exit(f"error: {_sentence(error)}")
    except (URLError, OSError) as error:
        sys.exit(f"error: {said.url} does not answer: {getattr(error, 'reason', error)}")
    for task, digest in found["tasks"].items():
        print(f"{task}: model {digest}")


def _sentence(error: HTTPError) -> str:
    if error.code == 404:
        return f"the service has no admin endpoints: start it with {TOKEN} set"
    try:
        return str(json.load(error)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the service answered {error.code}"


if __name__ == "__main__":
    main()
