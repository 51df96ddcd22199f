"""Before a run: what around the project would stop it, or keep its last stage from recording it."""

import os
import sys
from pathlib import Path

from redoubt.core.store import whole_file
from redoubt.data.leftovers import clear_beside
from redoubt.tracking.uri import TrackingError, check, store_uri

LOCAL = Path(".dvc/config.local")
# Alone in the file: then it was written here, and may be taken away here.
WITHOUT_GIT = "[core]\n    no_scm = true\n"


def prepare() -> None:
    """Tell DVC whether there is a Git repository, and the user what would keep runs from being recorded.

    Raises:
        StoreError: DVC's settings cannot be written.
    """
    settle_git()
    warn_of_tracking()


def settle_git() -> None:
    """Have DVC work in a folder that is no Git repository, such as an unpacked ZIP, and again in one that became one.

    Raises:
        StoreError: DVC's settings cannot be written.
    """
    here = Path.cwd()
    if not LOCAL.parent.is_dir():
        return
    clear_beside(LOCAL)
    in_git = "GIT_DIR" in os.environ or any((folder / ".git").exists() for folder in (here, *here.parents))
    known = LOCAL.read_text(encoding="utf-8") if LOCAL.is_file() else ""
    if in_git and known == WITHOUT_GIT:
        LOCAL.unlink()
    if not in_git and not known:
        with whole_file(LOCAL) as temporary:
            temporary.write_text(WITHOUT_GIT, encoding="utf-8")
        print(f"note: this folder is no Git repository; {LOCAL} tells DVC to do without", file=sys.stderr)


def warn_of_tracking() -> None:
    """Say before the work begins what would keep its last stage from recording it; the work itself needs no MLflow."""
    try:
        check(store_uri(Path.cwd()))
    except TrackingError as error:
        print(f"warning: {error}. The work goes on; until that is fixed its last stage fails", file=sys.stderr)
