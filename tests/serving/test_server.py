"""What only a real server shows: metrics, load, readiness, and a bento that carries all it needs."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np

from tests.support.bundles import SCHEMAS, write_card
from tests.support.process import ROOT, serve

HEAVY = ["tensorflow", "keras", "dvc", "great_expectations", "pandas", "mlflow", "onnx", "scipy", "sklearn"]
LATE = ["numpy", "onnxruntime", "PIL"]
WORKER = ["serving.service", "serving.desk", "serving.front", "serving.routes", "serving.wire", "serving.watch"]
WORKER += ["serving.control", "serving.mlflow_model", "serving.pyfunc"]
BUNDLE = Path("src", "redoubt", "bundle")
CARRIED = [path.relative_to(ROOT) for path in (ROOT / BUNDLE).rglob("*.py")]
SERVING = [path.relative_to(ROOT) for path in (ROOT / "serving").glob("*.py")]
GOOD = np.full((8, 8), 0.5).tolist()
LOUD = np.random.default_rng(1).random((8, 8)).round(3).tolist()
RECORD = {"cp": 300.0, "hp": 50, "species": "Eevee"}
SERVICE = "serving.service:Redoubt"


def metric(client: httpx.Client, name: str, task: str) -> float:
    """The value of a counter of ours; of all models that were served for a task."""
    found = re.findall(rf'^{name}{{digest="\w+",task="{task}"}} (\S+)$', client.get("/metrics").text, re.MULTILINE)
    assert found
    return sum(map(float, found))


def test_metrics_count_inputs_and_flags(http: httpx.Client) -> None:
    before = metric(http, "redoubt_predictions_total", "digits"), metric(http, "redoubt_flagged_total", "digits")
    answer = http.post("/predict", json={"task": "digits", "inputs": [GOOD, LOUD, LOUD]})
    flags = sum(prediction["flagged"] for prediction in answer.json()["predictions"])
    assert flags >= 2
    assert metric(http, "redoubt_predictions_total", "digits") == before[0] + 3
    assert metric(http, "redoubt_flagged_total", "digits") == before[1] + flags


def test_metrics_count_requests_by_what_they_were_answered(http: httpx.Client) -> None:
    def count(status: int) -> float:
        found = re.findall(
            rf'^redoubt_requests_total{{endpoint="/predict",status="{status}"}} (\S+)$',
            http.get("/metrics").text,
            re.MULTILINE,
        )
        return float(found[0]) if found else 0.0

    before = count(200), count(400)
    for inputs in ([GOOD], [GOOD], [1]):
        http.post("/predict", json={"task": "digits", "inputs": inputs})
    assert (count(200) - before[0], count(400) - before[1]) == (2, 1)


def test_metrics_name_every_task_from_the_start(http: httpx.Client) -> None:
    assert metric(http, "redoubt_flagged_total", "evolution") >= 0.0


def test_unknown_paths_leave_no_series(http: httpx.Client) -> None:
    http.get("/made-up-by-a-scanner")
    text = http.get("/metrics").text
    assert 'endpoint="/predict"' in text
    assert "made-up-by-a-scanner" not in text


def test_bentomls_own_client_is_told_what_to_send_and_drops_nothing(http: httpx.Client) -> None:
    routes = {route["name"]: route for route in http.get("/schema.json").json()["routes"]}
    assert list(routes["predict"]["input"]["properties"]) == ["task", "inputs", "certify", "eps"]
    # Of an object whose properties are named, that client keeps only those.
    assert all("properties" not in route["output"] for route in routes.values())


def test_no_champion_is_alive_but_not_ready(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with serve(SERVICE, tmp_path / "models", tmp_path) as client:
        assert client.get("/livez").status_code == 200
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["error"]["message"] == "the service is not ready; its log says why"
        refused = client.post("/predict", json={"task": "digits", "inputs": [GOOD]})
        assert refused.status_code == 400
        assert "run `make repro`" in refused.json()["error"]["message"]
    assert "no champion in" in (tmp_path / "server.log").read_text()


def test_a_refused_bundle_makes_the_service_unready(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models, tmp_path / "models")
    write_card(tmp_path / "models" / "digits" / "champion", SCHEMAS["digits"], digest="0" * 64)
    with serve(SERVICE, tmp_path / "models", tmp_path) as client:
        assert client.get("/readyz").status_code == 503
        assert client.post("/predict", json={"task": "digits", "inputs": [GOOD]}).status_code == 503
        assert client.post("/predict", json={"task": "evolution", "inputs": [RECORD]}).status_code == 200
    assert "its card reports on 000" in (tmp_path / "server.log").read_text()


def imported(*modules: str) -> list[str]:
    """The third-party packages, on one line, and the files of this project that importing modules brings in."""
    script = f"""
import sys, {", ".join(modules)}
print(*[name for name in {[*HEAVY, *LATE]} if name in sys.modules])
ours = [m.__file__ for n, m in sys.modules.items() if n.split(".")[0] in ("redoubt", "serving")]
print(*[file for file in ours if file and not file.endswith("redoubt/__init__.py")], sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def imports_of(path: Path) -> set[str]:
    """The modules that a file imports, inside functions too; of a third party's its package."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "." * node.level for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name if name.startswith("redoubt") else name.split(".")[0] for name in names}


def test_the_service_imports_nothing_heavy() -> None:
    assert imported(*WORKER)[0].split() == LATE


def test_the_supervisor_imports_still_less() -> None:
    assert imported("serving.service")[0] == ""


def test_the_service_needs_one_folder_of_src() -> None:
    ours = {Path(path).relative_to(ROOT) for path in imported(*WORKER)[1:]}
    assert [path for path in ours if not (path.is_relative_to("serving") or path.is_relative_to(BUNDLE))] == []
    assert ours - {path.relative_to(ROOT) for path in (ROOT / BUNDLE).rglob("*.py")} == set(SERVING)


def test_the_folder_that_the_service_needs_imports_no_other_of_src() -> None:
    names = {name for path in (ROOT / BUNDLE).rglob("*.py") for name in imports_of(path)}
    assert {name for name in names if name.startswith("redoubt") and not name.startswith("redoubt.bundle")} == set()
    assert names & set(HEAVY) == {"onnx"}
    assert "onnx" in imports_of(ROOT / BUNDLE / "model" / "subgraph.py")


def test_the_image_copies_all_that_is_imported(tmp_path: Path) -> None:
    for line in (ROOT / "serving" / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY"):
            *sources, target = line.split()[1:]
            for source in [path for name in sources for path in ROOT.glob(name)]:
                if source.is_dir():
                    shutil.copytree(source, tmp_path / target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    (tmp_path / target).mkdir(parents=True, exist_ok=True)
                    shutil.copy(source, tmp_path / target)
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*.py")} == set(SERVING) | set(CARRIED)
    # As if the package were not installed; a folder of its name, as a checkout is, must not hide the copy.
    script = f"""
import os, sys
sys.path = [each for each in sys.path if not os.path.exists(os.path.join(each, "redoubt", "__init__.py"))]
import {", ".join(WORKER)}
assert sys.modules["redoubt.bundle"].__file__.startswith(os.getcwd())
"""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    (tmp_path / "redoubt").mkdir()
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=clean, check=True, timeout=60)


def test_the_lock_is_hashed_and_agrees_with_the_projects() -> None:
    pinned = re.compile(r"^([a-z0-9.-]+)==([^ ;]+)", re.MULTILINE)
    ours = (ROOT / "serving" / "requirements.lock").read_text()
    assert "://" not in ours
    assert not {name for name, _ in pinned.findall(ours)} & set(HEAVY)
    assert set(pinned.findall(ours)) <= set(pinned.findall((ROOT / "requirements.lock").read_text()))
    assert len(pinned.findall(ours)) == len(re.findall(r"^[a-z].*\\\n    --hash", ours, re.MULTILINE))


def test_a_bento_is_built_and_serves(models: Path, tmp_path: Path) -> None:
    context = tmp_path / "project"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "serving", context / "serving", ignore=ignored)
    shutil.copytree(ROOT / "src", context / "src", ignore=ignored)
    shutil.copytree(models, context / "models")
    shutil.copy(ROOT / "bentofile.yaml", context)
    environment = {**os.environ, "BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(tmp_path / "bentoml")}
    command = [sys.executable, "-m", "bentoml", "build", "--output", "tag"]
    subprocess.run(command, cwd=context, env=environment, capture_output=True, check=True, timeout=120)
    (bento,) = (path for path in (tmp_path / "bentoml" / "bentos" / "redoubt").iterdir() if path.is_dir())
    carried = {path.relative_to(bento / "src") for path in (bento / "src").rglob("*.py")}
    assert carried == set(SERVING) | set(CARRIED)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with serve("redoubt:latest", None, tmp_path, elsewhere) as client:
        assert client.get("/readyz").status_code == 200
        assert client.post("/predict", json={"task": "digits", "inputs": [GOOD]}).status_code == 200
