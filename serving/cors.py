"""Calls from pages of other origins: none, unless `REDOUBT_CORS_ORIGINS` names them."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

VARIABLE = "REDOUBT_CORS_ORIGINS"
TAKEN = ["Content-Type", "Inference-Header-Content-Length", "Traceparent", "X-Redoubt-Task", "X-Request-ID"]
TOLD = ["Inference-Header-Content-Length", "Retry-After", "Traceparent", "X-Request-ID"]
# Seconds for which a browser need not ask again.
REMEMBERED = 600


def open_to(app: ASGIApp, setting: str) -> ASGIApp:
    """An application that pages of some origins may call.

    Args:
        app: to be called.
        setting: the origins, parted by commas, as `https://shop.example`; `*` stands for all; empty for none.
    """
    origins = [origin.strip().rstrip("/") for origin in setting.split(",") if origin.strip()]
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=TAKEN,
        expose_headers=TOLD,
        max_age=REMEMBERED,
    )
