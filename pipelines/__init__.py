"""One thin module per stage of dvc.yaml: params -> read -> call src -> write."""

import os
import sys
from pathlib import Path

# A queued experiment runs in a copy of the project: its own src/ must win over the installed one.
sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

from redoubt.core.pins import pin

pin()
for _name, _value in {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
    "GX_ANALYTICS_ENABLED": "false",
    "DVC_NO_ANALYTICS": "1",
    "BENTOML_DO_NOT_TRACK": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}.items():
    os.environ.setdefault(_name, _value)

from redoubt.core.surroundings import settle  # noqa: E402

settle()
