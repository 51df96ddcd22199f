"""The log as one JSON object a line, for machines that read it; by REDOUBT_LOG=json."""

import json
import logging
import os
import time

VARIABLE = "REDOUBT_LOG"
LOGGERS = ("", "bentoml", "uvicorn.error", "circus")


class JSONLines(logging.Formatter):
    """A record as a JSON object: time, level, logger, message, and the fields of a request."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one line."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        said = {"time": f"{at}.{int(record.msecs):03d}Z", "level": record.levelname.lower(), "logger": record.name}
        fields = getattr(record, "fields", None)
        # A request's fields say all that its message does.
        said |= fields or {"message": record.getMessage()}
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False, default=str)


def configure() -> None:
    """Have all handlers write so, if it was asked for."""
    if os.environ.get(VARIABLE) != "json":
        return
    for name in LOGGERS:
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(JSONLines())
