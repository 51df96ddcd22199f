"""A champion moves as an alias of MLflow's registry does: a SQLite store, and a server that the service asks."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from mlflow import MlflowClient

from benchmarks.server import free_port, running
from redoubt.bundle.base.io import digest_folder
from redoubt.bundle.model.guarded_model import BUNDLE_FILES
from serving.aliases import Aliases
from serving.kept import Kept
from serving.moves import Follower
from tests.support.bundles import vary
from tests.support.process import serve

NAME, ALIAS = "redoubt-digits", "champion"
SETTING = f"digits=models:/{NAME}@{ALIAS}"


def asked(folder: Path) -> MlflowClient:
    """A client of a store and of its registry, whatever registry this process has used before."""
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return MlflowClient(uri, registry_uri=uri)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for MLflow's database, with the model registered."""
    folder = tmp_path_factory.mktemp("mlflow")
    asked(folder).create_registered_model(NAME)
    return folder


@pytest.fixture
def bundle(models: Path, tmp_path: Path) -> Path:
    """A champion of digits that may be changed."""
    return Path(shutil.copytree(models / "digits" / "champion", tmp_path / "bundle"))


@pytest.fixture
def follow(store: Path, models: Path, tmp_path: Path) -> Iterator[Callable[[str], Follower]]:
    """An instance's one process, over a models folder with digits and evolution."""
    for task in ("digits", "evolution"):
        shutil.copytree(models / task, tmp_path / "models" / task)
    (tmp_path / "instance").mkdir()

    def make(setting: str) -> Follower:
        aliases = Aliases(setting, f"sqlite:///{store / 'mlflow.db'}", tmp_path / "instance" / "aliases")
        return Follower(tmp_path / "models", Kept(tmp_path / "instance"), aliases)

    yield make
    client = asked(store)
    for version in client.search_model_versions(f"name = '{NAME}'"):
        client.delete_model_version(NAME, version.version)


def register(store: Path, bundle: Path, number: int) -> str:
    """Make a version of another champion, and let the alias name it; returns its digest."""
    digest = vary(bundle, number)
    kept = Path(shutil.copytree(bundle, store / f"{number}-{time.monotonic_ns()}"))
    client = asked(store)
    version = client.create_model_version(NAME, kept.as_uri()).version
    client.set_registered_model_alias(NAME, ALIAS, version)
    return digest


def served(follower: Follower) -> str:
    return follower.runtime.champions["digits"].model.digest


def test_what_the_alias_names_is_served_and_not_what_the_folder_holds(
    follow: Callable[[str], Follower], store: Path, bundle: Path
) -> None:
    first = register(store, bundle, 1)
    follower = follow(SETTING)
    assert served(follower) == first
    assert set(follower.runtime.champions) == {"digits", "evolution"}
    second = register(store, bundle, 2)
    follower.look()
    assert served(follower) == first, "looked at too often"
    assert follower.look(at_once=True).pending == {}
    assert served(follower) == second
    follower.roll_back("digits")
    assert served(follower) == first
    third = register(store, bundle, 3)
    follower.look(at_once=True)
    assert served(follower) == third


@pytest.mark.parametrize("bad", ["half a bundle", "another one's card", "no alias", "no file"])
def test_a_bad_one_never_replaces_a_good_one_and_says_why(
    bad: str, follow: Callable[[str], Follower], store: Path, bundle: Path
) -> None:
    good = register(store, bundle, 4)
    follower = follow(SETTING)
    assert served(follower) == good
    client = asked(store)
    if bad == "no alias":
        client.delete_registered_model_alias(NAME, ALIAS)
        why = "the registry has no model 'redoubt-digits' with the alias 'champion'"
    elif bad == "no file":
        (store / "mlflow.db").rename(store / "away")
        why = "the file of MLFLOW_TRACKING_URI cannot be read: unable to open database file"
    elif bad == "half a bundle":
        (bundle / "model.weights.h5").unlink()
        client.create_model_version(NAME, bundle.as_uri())
        latest = max(int(each.version) for each in client.search_model_versions(f"name = '{NAME}'"))
        client.set_registered_model_alias(NAME, ALIAS, str(latest))
        why = "holds no whole bundle: model.weights.h5 missing: delete it"
    else:
        (bundle / "labels.json").write_text("[]")
        version = client.create_model_version(NAME, bundle.as_uri()).version
        client.set_registered_model_alias(NAME, ALIAS, version)
        why = "but its card reports on"
    try:
        said = follower.look(at_once=True).pending["digits"]
    finally:
        if bad == "no file":
            (store / "away").rename(store / "mlflow.db")
    assert why in said
    assert str(store) not in said
    assert str(bundle.parent) not in said
    assert served(follower) == good
    new = register(store, bundle, 5) if bad in ("no alias", "no file") else None
    if new is not None:
        assert follower.look(at_once=True).pending == {}
        assert served(follower) == new


@pytest.mark.parametrize(
    ("setting", "uri", "task", "why"),
    [
        ("digits=redoubt-digits", "", "digits", "expected models:/NAME@ALIAS"),
        ("a/b=models:/x@y", "", "a/b", "names a task of this name"),
        (SETTING, "", "digits", "MLFLOW_TRACKING_URI is not set; expected http://HOST:PORT"),
        (SETTING, "postgresql://x", "digits", "MLFLOW_TRACKING_URI is postgresql; expected"),
        (SETTING, "http://127.0.0.1:9", "digits", "the server of MLFLOW_TRACKING_URI does not answer"),
    ],
)
def test_a_setting_that_cannot_be_followed_is_said(setting: str, uri: str, task: str, why: str, tmp_path: Path) -> None:
    aliases = Aliases(setting, uri, tmp_path)
    aliases.look()
    assert why in aliases.problems[task]
    assert aliases.places == {}


def test_a_running_service_follows_an_alias_of_a_server(
    store: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    stores = [
        "--backend-store-uri",
        f"sqlite:///{tmp_path / 'mlflow.db'}",
        "--artifacts-destination",
        str(tmp_path / "a"),
    ]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1", *stores]
    variables = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    token = "correct horse battery"
    url = f"http://127.0.0.1:{port}"
    # Made already: to make its tables takes MLflow seconds.
    shutil.copyfile(store / "mlflow.db", tmp_path / "mlflow.db")
    with running(command, f"{url}/health", tmp_path, variables):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        client = MlflowClient(url, registry_uri=url)
        experiment = client.create_experiment("served")

        def register_at_server(number: int) -> str:
            digest = vary(bundle, number)
            run = client.create_run(experiment).info
            assert run.artifact_uri is not None
            assert run.artifact_uri.startswith("mlflow-artifacts:")
            client.log_artifacts(run.run_id, str(bundle), "model/bundle")
            version = client.create_model_version(NAME, f"{run.artifact_uri}/model", run.run_id).version
            client.set_registered_model_alias(NAME, ALIAS, version)
            return digest

        first = register_at_server(1)
        (tmp_path / "models").mkdir()
        settings = {"REDOUBT_MLFLOW": SETTING, "MLFLOW_TRACKING_URI": url, "REDOUBT_ADMIN_TOKEN": token}
        (tmp_path / "service").mkdir()
        with serve("serving.service:Redoubt", tmp_path / "models", tmp_path / "service", variables=settings) as service:
            assert service.get("/readyz").json()["tasks"] == {"digits": first}
            second = register_at_server(2)
            headers = {"Authorization": f"Bearer {token}"}
            assert service.post("/admin/reload", headers=headers).json()["tasks"] == {"digits": second}
            client.delete_registered_model_alias(NAME, ALIAS)
            refused = service.post("/admin/reload", headers=headers)
            assert refused.status_code == httpx.codes.CONFLICT
            assert "the server of MLFLOW_TRACKING_URI answers 4" in refused.json()["error"]["message"]
            assert service.get("/readyz").json()["tasks"] == {"digits": second}
    assert digest_folder(bundle, BUNDLE_FILES) == second
