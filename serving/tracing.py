"""Spans for the requests that never reach BentoML, by the exporter that BentoML was configured with."""

from bentoml._internal.configuration.containers import BentoMLContainer
from starlette.types import ASGIApp


def traced(app: ASGIApp) -> ASGIApp:
    """An application whose requests each leave a span; the same one where BentoML exports none."""
    if BentoMLContainer.tracing.exporter_type.get() is None:
        return app
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    return OpenTelemetryMiddleware(
        app,
        excluded_urls=BentoMLContainer.tracing_excluded_urls.get(),
        tracer_provider=BentoMLContainer.tracer_provider.get(),
    )
