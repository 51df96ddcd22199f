"""The pages for people: `/` to try the models on, and `/docs`, the OpenAPI document under BentoML's Swagger UI.

BentoML's own page loads a tag manager from the network, and so is not used.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Route

from serving.openapi import document

HERE = Path(__file__).parent
# Of the page at `/`; each file is named, so that no path of a request reaches the disk.
FILES = {f"/page/{path.name}": path for path in sorted((HERE / "page").iterdir()) if path.suffix in (".css", ".js")}
PAGES = {"/", "/docs", "/docs.json", "/page.json", *FILES}
STATIC = {f"/static_content/{name}" for name in ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-light-32x32.png")}

# A page may load nothing but what this server sends; the Swagger UI has styles and scripts in its page.
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; img-src 'self' data:"
STRICT = "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS = {"Content-Security-Policy": STRICT, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}


async def _index(_: Request) -> FileResponse:
    return FileResponse(HERE / "page" / "index.html", headers=HEADERS)


def _file(path: Path) -> Callable[[Request], Awaitable[FileResponse]]:
    async def answer(_: Request) -> FileResponse:
        return FileResponse(path, headers=HEADERS)

    return answer


async def _told(request: Request) -> JSONResponse:
    state = request.app.state
    return JSONResponse({"tasks": state.about, "demo": state.demo})


async def _docs(_: Request) -> FileResponse:
    return FileResponse(HERE / "docs.html", headers={"Content-Security-Policy": POLICY})


async def _openapi(request: Request) -> JSONResponse:
    state = request.app.state
    return JSONResponse(document(state.schemas, state.threats, state.examples))


pages = Starlette(
    routes=[
        Route("/", _index),
        Route("/docs", _docs),
        Route("/docs.json", _openapi),
        Route("/page.json", _told),
        *(Route(path, _file(file)) for path, file in FILES.items()),
    ]
)
# What `make demo` adds to the service; it alone sets this.
pages.state.demo = None
