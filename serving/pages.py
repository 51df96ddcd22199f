"""The pages for people: `/` leads to `/docs`, the OpenAPI document under the Swagger UI that BentoML ships.

BentoML's own page loads a tag manager from the network, and so is not used.
"""

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse
from starlette.routing import Route

from serving.openapi import document

PAGES = {"/", "/docs", "/docs.json"}
STATIC = {f"/static_content/{name}" for name in ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-light-32x32.png")}

# The page may load nothing but what this server sends.
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; img-src 'self' data:"


async def _index(_: Request) -> RedirectResponse:
    return RedirectResponse("docs")


async def _docs(_: Request) -> FileResponse:
    return FileResponse(Path(__file__).with_name("docs.html"), headers={"Content-Security-Policy": POLICY})


async def _openapi(request: Request) -> JSONResponse:
    state = request.app.state
    return JSONResponse(document(state.schemas, state.threats, state.examples))


pages = Starlette(routes=[Route("/", _index), Route("/docs", _docs), Route("/docs.json", _openapi)])
