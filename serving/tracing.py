"""Spans for the requests that never reach BentoML, by the exporter that BentoML was configured with."""

from bentoml._internal.configuration.containers import BentoMLContainer
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def traced(app: ASGIApp) -> ASGIApp:
    """An application whose requests each leave a span; the same one where BentoML exports none."""
    if BentoMLContainer.tracing.exporter_type.get() is None:
        return app
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    return OpenTelemetryMiddleware(
        _telling(app),
        excluded_urls=BentoMLContainer.tracing_excluded_urls.get(),
        tracer_provider=BentoMLContainer.tracer_provider.get(),
    )


def _telling(app: ASGIApp) -> ASGIApp:
    """An application whose answers name the span that they were made in, as `traceparent`."""
    from opentelemetry.propagate import inject

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        names = dict[str, str]()
        inject(names)
        headers = {name.encode(): value.encode() for name, value in names.items()}

        async def pass_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [pair for pair in message["headers"] if pair[0] not in headers]
                message["headers"] = [*kept, *headers.items()]
            await send(message)

        await app(scope, receive, pass_on)

    return told
