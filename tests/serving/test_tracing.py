"""A prediction leaves a span by the exporter that BentoML was configured with, below its caller's."""

import os
import subprocess
import sys
from pathlib import Path

SHOW = """
from bentoml._internal.configuration.containers import BentoMLContainer
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.testclient import TestClient
from serving import service

spans = InMemorySpanExporter()
BentoMLContainer.tracer_provider.get().add_span_processor(SimpleSpanProcessor(spans))
with TestClient(service.Redoubt.to_asgi()) as client:
    caller = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    answer = client.post("/predict", json={"task": "digits", "inputs": [[[0.5] * 8] * 8]}, headers=caller)
for span in spans.get_finished_spans():
    if span.kind.name == "SERVER":
        print(span.name, f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}")
        assert answer.headers["traceparent"] == f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"
"""


def test_a_prediction_leaves_a_span_below_its_callers(models: Path, project: Path, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "BENTOML_CONFIG_OPTIONS": 'tracing.exporter_type="in_memory" tracing.sample_rate=1.0',
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(tmp_path),
        "REDOUBT_MODELS": str(models),
    }
    done = subprocess.run(
        [sys.executable, "-c", SHOW], cwd=project, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines() == ["POST /predict 0af7651916cd43dd8448eb211c80319c b7ad6b7169203331"], done.stderr
