"""The alert rules and the dashboard of docker-compose.yml are whole; that their metrics exist, a scrape shows."""

import shlex
from pathlib import Path

import pytest
import yaml

from tests.support.compose import TOP, services
from tests.support.monitoring import FOLDER, METRIC, alerts, dashboard, queries


def mounted(service: str) -> dict[str, Path]:
    """The project's files by where a container sees them."""
    volumes = (volume.split(":") for volume in services()[service]["volumes"])
    return {target: TOP / source for source, target, *_ in volumes if source.startswith("./")}


def test_prometheus_finds_its_files_and_the_service() -> None:
    files, words = mounted("prometheus"), shlex.split(services()["prometheus"]["command"])
    options = dict(word.removeprefix("--").split("=", 1) for word in words)
    settings = yaml.safe_load(files[options["config.file"]].read_text())
    assert [files[path] for path in settings["rule_files"]] == [FOLDER / "alerts.yml"]
    (job,) = settings["scrape_configs"]
    assert (job["job_name"], job["static_configs"]) == ("redoubt", [{"targets": ["serving:3000"]}])
    assert job.get("metrics_path", "/metrics") == "/metrics"
    assert options["storage.tsdb.path"] in [volume.split(":")[1] for volume in services()["prometheus"]["volumes"]]
    assert set(services()["prometheus"]["networks"]) & set(services()["serving"]["networks"])


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    files, settings = mounted("grafana"), services()["grafana"]["environment"]
    provisioning = files["/etc/grafana/provisioning"]
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "redoubt.yml").read_text())["providers"]
    shown = Path(settings["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(shown.parent) == provider["options"]["path"]
    assert (files[str(shown.parent)] / shown.name).is_file()
    used = {panel["datasource"]["uid"] for panel in dashboard()["panels"] if "datasource" in panel}
    assert used == {source["uid"]}


def test_panels_have_names_of_their_own_and_do_not_overlap() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, dict[str, str]]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert set(rule["annotations"]) == {"summary", "action"}
    assert all(sentence.endswith(".") for sentence in rule["annotations"].values())
    assert METRIC.search(str(rule["expr"])) or str(rule["expr"]).startswith('up{job="redoubt"}')


def test_the_alert_on_memory_is_of_the_limit() -> None:
    assert services()["serving"]["deploy"]["resources"]["limits"]["memory"] == "1G"
    (rule,) = (rule for rule in alerts() if rule["alert"] == "RedoubtMemoryHigh")
    assert "0.85 * 1024 * 1024 * 1024" in rule["expr"]


@pytest.mark.parametrize("query", queries())
def test_brackets_close(query: str) -> None:
    for opening, closing in ("()", "{}", "[]"):
        assert query.count(opening) == query.count(closing)
