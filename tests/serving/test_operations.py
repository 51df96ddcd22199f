"""A running service is moved, watched and told of: one server, with a token, a challenger, and its log in JSON."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from redoubt.bundle.base.io import digest_folder
from redoubt.bundle.model.guarded_model import BUNDLE_FILES
from tests.support.bundles import vary
from tests.support.monitoring import METRIC, labels, queries
from tests.support.process import ROOT, serve

TOKEN = "correct horse battery"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
GOOD = np.full((8, 8), 0.5).tolist()
LOUD = np.random.default_rng(1).random((8, 8)).round(3).tolist()
ASKED = {"task": "digits", "inputs": [GOOD, LOUD]}


class Service(NamedTuple):
    """What runs."""

    client: httpx.Client
    models: Path
    log: Path

    @property
    def champion(self) -> Path:
        return self.models / "digits" / "champion"

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all series that have these labels."""
        found = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", self.client.get("/metrics").text, re.MULTILINE)
        assert found, name
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        return sum(float(value) for has, value in found if wanted <= set(has.split(",")))

    def lines(self) -> list[dict[str, object]]:
        """The log, of which every line is a JSON object."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture(scope="module")
def running(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("operations")
    shutil.copytree(models, folder / "models")
    shutil.copytree(models / "digits" / "champion", folder / "models" / "digits" / "hardened")
    shadowed = folder / "models" / "digits" / "hardened" / "guard.json"
    # Flags everything, and so is of another opinion than the champion on what that does not flag.
    shadowed.write_text(json.dumps(json.loads(shadowed.read_text()) | {"threshold": 0.0}))
    variables = {"REDOUBT_ADMIN_TOKEN": TOKEN, "REDOUBT_LOG": "json", "REDOUBT_SHADOW": "digits=hardened,mnist=x"}
    with serve("serving.service:Redoubt", folder / "models", folder, variables=variables) as client:
        yield Service(client, folder / "models", folder / "server.log")


def served(running: Service) -> str:
    digest: str = running.client.get("/readyz").json()["tasks"]["digits"]
    return digest


def test_admin_needs_the_token(running: Service) -> None:
    for path in ("/admin/reload", "/admin/rollback?task=digits"):
        for headers in (
            {},
            *({"Authorization": said} for said in (f"Bearer {TOKEN}x", TOKEN, f"Basic {TOKEN}", "Bearer")),
        ):
            answer = running.client.post(path, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert "REDOUBT_ADMIN_TOKEN" in answer.json()["error"]["message"]
        for headers in (AUTHORIZED, {"Authorization": f"bearer  {TOKEN}"}):
            assert running.client.get(path, headers=headers).status_code == 405


def test_a_rollback_of_no_task_is_none(running: Service) -> None:
    answer = running.client.post("/admin/rollback", headers=AUTHORIZED)
    assert answer.status_code == 409
    assert "no task is named; expected ?task=TASK; tasks served: " in answer.json()["error"]["message"]


def test_without_a_token_there_is_no_admin(http: httpx.Client) -> None:
    for path in ("/admin/reload", "/admin/rollback"):
        answer = http.post(path, headers=AUTHORIZED)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_a_move_under_load_drops_nobody_and_no_answer_is_of_two_models(running: Service) -> None:
    digests, over, begun = set[str](), Event(), Barrier(9, timeout=60)

    def ask(_: int) -> int:
        count = 0
        with httpx.Client(base_url=running.client.base_url, timeout=20.0) as client:
            while not over.is_set():
                answer = client.post("/predict", json=ASKED)
                assert answer.status_code == 200, answer.text
                digests.add(answer.json()["model_digest"])
                count += 1
                if count == 1:
                    begun.wait()
        return count

    before = served(running)
    with ThreadPoolExecutor(8) as pool:
        try:
            asking = [pool.submit(ask, number) for number in range(8)]
            begun.wait()
            new = [vary(running.champion, 11)]
            assert running.client.post("/admin/reload", headers=AUTHORIZED).json()["tasks"]["digits"] == new[0]
            new.append(vary(running.champion, 12))
            assert running.client.post("/admin/reload", headers=AUTHORIZED).json()["tasks"]["digits"] == new[1]
            running.client.post("/admin/rollback?task=digits", headers=AUTHORIZED).raise_for_status()
            assert served(running) == new[0]
        finally:
            over.set()
        assert all(each.result() > 0 for each in asking)
    assert digests <= {before, *new}
    assert len(digests) > 1
    answer = running.client.post("/predict", json=ASKED).json()
    assert answer["model_digest"] == new[0]
    assert running.metric("redoubt_champion", task="digits", digest=new[0][:12]) == 1
    assert running.metric("redoubt_champion", task="digits", digest=new[1][:12]) == 0
    assert running.metric("redoubt_champion_moves_total", task="digits", result="rolled_back") == 1


def test_a_bad_bundle_is_told_of_and_a_good_one_follows_by_itself(running: Service) -> None:
    good = served(running)
    failures = running.metric("redoubt_champion_moves_total", task="digits", result="refused")
    whole = (running.champion / "labels.json").read_bytes()
    (running.champion / "labels.json").write_bytes(whole[:-5])
    answer = running.client.post("/admin/reload", headers=AUTHORIZED)
    assert answer.status_code == 409
    assert "task 'digits': digits/champion has digest" in answer.json()["error"]["message"]
    detail = running.client.get("/readyz")
    assert (detail.status_code, detail.json()["ready"]) == (200, True)
    assert "its card reports on" in detail.json()["not_served"]["digits"]
    assert served(running) == good
    assert running.metric("redoubt_champion_pending", task="digits") == 1
    assert running.metric("redoubt_champion_moves_total", task="digits", result="refused") == failures + 1
    (running.champion / "labels.json").write_bytes(whole)
    new = vary(running.champion, 13)
    deadline = time.monotonic() + 20.0
    while served(running) != new and time.monotonic() < deadline:
        time.sleep(0.2)
    assert served(running) == new
    assert running.metric("redoubt_champion_pending", task="digits") == 0


def test_one_command_rolls_back(running: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDOUBT_ADMIN_TOKEN", TOKEN)
    vary(running.champion, 14)
    url = str(running.client.base_url)

    def control(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "serving.control", "--url", url, *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert f"digits: model {digest_folder(running.champion, BUNDLE_FILES)}\n" in control("reload").stdout
    new = served(running)
    assert new not in control("rollback", "digits").stdout
    assert served(running) != new
    failed = control("rollback", "mnist")
    assert (failed.returncode, failed.stderr.count("\n")) == (1, 1)
    assert failed.stderr.startswith("error: nothing is served for task 'mnist'; tasks served: colours, digits")


def test_a_challenger_is_asked_beside_and_its_disagreement_is_counted(running: Service) -> None:
    (challenger,) = {digest_folder(running.models / "digits" / "hardened", BUNDLE_FILES)[:12]}
    of = {"task": "digits", "digest": challenger}
    before = running.metric("redoubt_shadow_inputs_total", **of)
    deadline = time.monotonic() + 20.0
    while running.metric("redoubt_shadow_inputs_total", **of) == before and time.monotonic() < deadline:
        running.client.post("/predict", json={"task": "digits", "inputs": [np.full((8, 8), 0.05).tolist()]})
    assert running.metric("redoubt_shadow_inputs_total", **of) > before
    assert running.metric("redoubt_shadow_flag_disagreed_total", **of) >= 1
    assert running.metric("redoubt_shadow_disagreed_total", **of) == 0
    assert running.metric("redoubt_shadow_failed_total", **of) == 0
    refused = [line["message"] for line in running.lines() if "not asked beside any" in str(line.get("message"))]
    assert refused == [
        "REDOUBT_SHADOW: mnist=x is not asked beside any champion: expected TASK=BUNDLE with a task of colours,"
        " digits, evolution"
    ]


def test_metrics_tell_what_was_answered_by_which_model_and_what_was_refused_and_why(running: Service) -> None:
    of = {"task": "digits", "digest": served(running)[:12]}
    names = ["redoubt_predictions_total", "redoubt_score_ratio_count", "redoubt_certified_ratio_count"]
    phases = [{**of, "phase": phase} for phase in ("receive", "read", "wait", "run")]
    before = [running.metric(name, **of) for name in names]
    before += [running.metric("redoubt_phase_seconds_count", **each) for each in phases]
    running.client.post("/predict", json=ASKED)
    running.client.post("/predict", json={**ASKED, "certify": "none"})
    running.client.post("/predict", json={"task": "digits", "inputs": [1]})
    after = [running.metric(name, **of) for name in names]
    after += [running.metric("redoubt_phase_seconds_count", **each) for each in phases]
    assert [late - early for early, late in zip(before, after, strict=True)] == [4, 4, 2, 2, 2, 2, 2]
    assert running.metric("redoubt_refused_total", reason="bad_request") >= 1
    assert running.metric("redoubt_process_resident_bytes") > 2**24
    assert running.metric("redoubt_process_cpu_seconds_total") > 0
    assert running.metric("redoubt_queue_requests") == 0


def test_every_metric_that_alerts_and_dashboard_name_is_there(running: Service) -> None:
    running.client.post("/predict", json=ASKED)
    scraped = list(text_string_to_metric_families(running.client.get("/metrics").text))
    series = {sample.name: set(sample.labels) for family in scraped for sample in family.samples}
    assert set(METRIC.findall("\n".join(queries()))) <= set(series)
    for name, label in {each for query in queries() for each in labels(query)}:
        assert label in series[name], f"{name} has no label {label}"


def test_every_line_of_the_log_is_an_object_and_names_the_request(running: Service) -> None:
    time.sleep(1.0)  # Of a second with many requests a few are written.
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = running.client.post("/predict", json=ASKED, headers={"X-Request-ID": "mine-7", "traceparent": trace})
    assert (answer.headers["x-request-id"], answer.headers["traceparent"]) == ("mine-7", trace)
    refused = running.client.post("/predict", content=b"{", headers={"X-Request-ID": 'a"b\\', "Content-Type": "text/x"})
    assert re.fullmatch(r"[0-9a-f]{32}", refused.headers["x-request-id"])
    names, deadline = ("mine-7", refused.headers["x-request-id"]), time.monotonic() + 10.0
    said: dict[object, Any] = {}
    # A line is written once the answer is on its way.
    while not said.keys() >= set(names) and time.monotonic() < deadline:
        said = {line["request_id"]: line for line in running.lines() if "request_id" in line}
    good, bad = (said[name] for name in names)
    expected = {"status": 200, "path": "/predict", "task": "digits", "digest": served(running), "inputs": 2}
    assert expected.items() <= good.items()
    assert good["trace"] == trace
    assert 0 < good["ms"] < 20_000
    assert (bad["status"], bad["reason"]) == (415, "unsupported_media_type")


def test_a_second_instance_under_the_same_home_leaves_the_metrics_of_the_first(
    running: Service, models: Path, tmp_path: Path
) -> None:
    running.client.post("/predict", json=ASKED)
    before = running.metric("redoubt_predictions_total", task="digits")
    home = {"BENTOML_HOME": str(running.log.parent / "bentoml")}
    with serve("serving.service:Redoubt", models, tmp_path, variables=home) as client:
        client.post("/predict", json=ASKED)
        assert Service(client, models, tmp_path).metric("redoubt_predictions_total", task="digits") == 2
    running.client.post("/predict", json=ASKED)
    assert running.metric("redoubt_predictions_total", task="digits") == before + 2
