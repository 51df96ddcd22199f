"""docker-compose.yml cannot be run here: every path, variable, command and port it names must exist and be used."""

import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.compose import TOP, VARIABLE, environment, services

TEXT = (TOP / "docker-compose.yml").read_text()
SERVICES = services()
BUILT = sorted(name for name, service in SERVICES.items() if "build" in service)
PULLED = sorted(set(SERVICES) - set(BUILT))
PINNED = re.compile(r"^[a-z0-9-]+(/[a-z0-9-]+)?:[\w.-]*\d+\.\d+[\w.-]*$")

each_service = pytest.mark.parametrize("name", sorted(SERVICES))
each_built = pytest.mark.parametrize("name", BUILT)


def dockerfile(name: str) -> tuple[Path, Path]:
    """The build context and the Dockerfile of a service."""
    build = SERVICES[name]["build"]
    context = TOP / (build if isinstance(build, str) else build["context"])
    return context, context / ("Dockerfile" if isinstance(build, str) else build["dockerfile"])


def instructions(name: str, keyword: str) -> list[list[str]]:
    """The arguments of every instruction of one kind in a service's Dockerfile."""
    text = dockerfile(name)[1].read_text().replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith(keyword + " ")]


def test_the_parts_are_there() -> None:
    assert sorted(SERVICES) == ["database", "grafana", "prometheus", "serving", "storage", "tracking"]


@each_service
def test_memory_and_processor_are_limited(name: str) -> None:
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    assert 0 < float(limits["cpus"]) <= 2
    assert re.fullmatch(r"\d+[MG]", limits["memory"])


@each_service
def test_image_is_pinned_and_short(name: str) -> None:
    assert PINNED.match(SERVICES[name]["image"])


@each_built
def test_base_image_is_pinned_and_short(name: str) -> None:
    for source, *_ in instructions(name, "FROM"):
        assert PINNED.match(source)


@each_service
def test_no_root(name: str) -> None:
    if name in PULLED:
        assert all(int(part) > 0 for part in SERVICES[name]["user"].split(":"))
    else:
        (user,) = (argument[0] for argument in instructions(name, "USER"))
        created = [words for words in instructions(name, "RUN") if "useradd" in words]
        assert any(user in words for words in created), "not a user that the image makes"


@each_service
def test_what_a_read_only_container_writes_to_is_in_memory(name: str) -> None:
    if SERVICES[name].get("read_only"):
        assert "/tmp" in SERVICES[name]["tmpfs"]
        homes = (
            {f"/home/{words[-1]}" for words in instructions(name, "RUN") if "--create-home" in words}
            if name in BUILT
            else set()
        )
        assert homes <= set(SERVICES[name]["tmpfs"])


@each_service
def test_no_new_privileges(name: str) -> None:
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]


@each_service
def test_health_is_checked_with_what_the_image_has(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    has = {"database": "pg_isready", "storage": "curl", "tracking": "python", "serving": "python"}
    has |= {"prometheus": "wget", "grafana": "wget"}
    assert check["test"][1] == has[name]
    assert {"interval", "timeout", "retries"} <= set(check)
    if check["test"][1] == "python":
        compile(check["test"][3], "healthcheck", "exec")


@each_service
def test_who_waits_waits_for_health(name: str) -> None:
    for other, condition in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        assert condition == {"condition": "service_healthy"}


@each_service
def test_ports_are_open_to_this_machine_only_and_listened_on(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        address, _, inside = port.split(":")
        assert address == "127.0.0.1"
        assert name in PULLED or [inside] in instructions(name, "EXPOSE")
        assert f":{inside}/" in SERVICES[name]["healthcheck"]["test"][-1]


def test_what_has_no_port_is_on_a_closed_network() -> None:
    document = yaml.safe_load(TEXT)
    for name, service in SERVICES.items():
        assert set(service["networks"]) <= set(document["networks"])
        if "ports" not in service:
            assert service["networks"] == ["inside"], name
    assert document["networks"]["inside"] == {"internal": True}


def test_variables_are_required_and_those_of_the_example() -> None:
    example = re.findall(r"^(\w+)=(.*)$", (TOP / ".env.example").read_text(), re.MULTILINE)
    assert {match["name"] for match in VARIABLE.finditer(TEXT)} == {name for name, _ in example}
    assert not any(value for _, value in example), "an example secret would be taken for a secret"
    assert "$" not in VARIABLE.sub("", TEXT), "a variable that is not required"


@each_service
def test_volumes_are_declared_or_folders_of_the_project(name: str) -> None:
    document = yaml.safe_load(TEXT)
    for volume in SERVICES[name].get("volumes", []):
        source, target, *mode = volume.split(":")
        if source.startswith("./serving/"):
            assert (TOP / source).exists()
            assert mode == ["ro"]
        elif source.startswith("./"):
            assert f"/{source[2:]}/" in (TOP / ".gitignore").read_text(), "a folder that the pipeline makes"
            assert mode == ["ro"]
            assert target in SERVICES[name]["environment"].values()
        else:
            assert source in document["volumes"]


@each_built
def test_what_a_dockerfile_copies_exists_and_is_in_its_context(name: str) -> None:
    context, path = dockerfile(name)
    assert path.is_file()
    ignored = context / ".dockerignore"
    kept = [line[1:] for line in ignored.read_text().splitlines() if line[:1] == "!"] if ignored.is_file() else None
    for copied in instructions(name, "COPY"):
        for source in [argument for argument in copied if not argument.startswith("--")][:-1]:
            assert list(context.glob(source)), source
            inside = kept is None or any(Path(source).is_relative_to(folder) for folder in kept)
            assert inside, f"{source} is left out by .dockerignore"


@each_built
def test_what_an_image_installs_is_hashed_and_has_no_address(name: str) -> None:
    context, path = dockerfile(name)
    sources = [source for copied in instructions(name, "COPY") for source in copied[:-1]]
    (lock,) = (context / source for source in sources if source.endswith(".lock"))
    assert "--require-hashes" in path.read_text()
    text = lock.read_text()
    assert "://" not in text
    pins = re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==\S+ \\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[\w.-]+", text, re.MULTILINE))
    wanted = re.findall(r"^([\w-]+)", lock.with_suffix(".in").read_text(), re.MULTILINE)
    assert set(wanted) <= set(pins)


def test_the_service_image_is_slim() -> None:
    lock = (TOP / "serving" / "requirements.lock").read_text()
    for heavy in ("dvc", "great-expectations", "tensorflow", "keras", "mlflow"):
        assert not re.search(rf"^{heavy}==", lock, re.MULTILINE)


@each_built
def test_the_command_is_installed(name: str) -> None:
    command = shlex.split(SERVICES[name].get("command", "")) or instructions(name, "CMD")[0]
    program = re.sub(r"\W", "", command[0])
    assert (Path(sys.executable).parent / program).is_file()


def test_mlflow_knows_the_options_and_the_variables() -> None:
    # Its command line takes seconds to import, in every process that collects this file.
    from mlflow import environment_variables
    from mlflow.cli import server as mlflow_server

    known = {option for parameter in mlflow_server.params for option in parameter.opts}
    program, verb, *arguments = shlex.split(SERVICES["tracking"]["command"])
    assert (program, verb) == ("mlflow", "server")
    assert set(arguments[::2]) <= known
    assert dict(zip(arguments[::2], arguments[1::2], strict=True))["--host"] == "0.0.0.0"
    taken = {parameter.envvar for parameter in mlflow_server.params} | set(dir(environment_variables))
    ours = {name for name in SERVICES["tracking"]["environment"] if name.startswith("MLFLOW_")}
    assert ours <= taken


def test_the_parts_agree_on_names_ports_and_secrets() -> None:
    secrets = {"POSTGRES_PASSWORD": "p", "STORAGE_ACCESS_KEY": "a", "STORAGE_SECRET_KEY": "s"}
    database, storage, tracking = (environment(SERVICES[name], secrets) for name in ("database", "storage", "tracking"))
    assert tracking["PGPASSWORD"] == database["POSTGRES_PASSWORD"] == "p"
    user, name = database["POSTGRES_USER"], database["POSTGRES_DB"]
    assert tracking["MLFLOW_BACKEND_STORE_URI"] == f"postgresql+psycopg2://{user}@database:5432/{name}"
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert tracking[key] == storage[key]
    assert tracking["MLFLOW_S3_ENDPOINT_URL"] == "http://storage:8333"
    assert ":8333/" in SERVICES["storage"]["healthcheck"]["test"][-1]
    bucket = re.search(r"-bucket=(\S+)", SERVICES["storage"]["command"])
    assert bucket
    assert SERVICES["tracking"]["command"].endswith(f"--artifacts-destination s3://{bucket[1]}")
    assert set(SERVICES["tracking"]["depends_on"]) == {"database", "storage"}


def test_nothing_phones_home() -> None:
    assert "-master.telemetry=false" in SERVICES["storage"]["command"]
    assert SERVICES["tracking"]["environment"]["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert SERVICES["serving"]["environment"]["BENTOML_DO_NOT_TRACK"] == "True"
