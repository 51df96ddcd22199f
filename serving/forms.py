"""Reads forms as starlette does, and files that give their name by `filename*` alone too."""

import re

from starlette.formparsers import MultiPartParser

# RFC 5987's form of a name, which RFC 7578 forbids in forms and some clients send nonetheless.
EXTENDED = re.compile(rb"(?i);\s*filename\*\s*=")
PLAIN = re.compile(rb"(?i);\s*filename\s*=")


class FormParser(MultiPartParser):
    """A form's reader; which name a file has means nothing here, only that it has one."""

    def on_headers_finished(self) -> None:
        """Tell a file from a text."""
        said = self._current_part.content_disposition
        if said is not None and not PLAIN.search(said):
            self._current_part.content_disposition = EXTENDED.sub(b"; filename=", said, count=1)
        super().on_headers_finished()
