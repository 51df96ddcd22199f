"""An instance's own folder: made by `bentoml serve` alone, and a disk without room for it is said in one sentence."""

import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.utils import circus

from serving import instance


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """As in `bentoml serve`, with a folder for temporary files of its own."""
    monkeypatch.setattr(instance.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(circus, "create_standalone_arbiter", circus.create_standalone_arbiter)
    with click.Context(click.Command("serve"), info_name="serve"):
        yield tmp_path
    BentoMLContainer.prometheus_multiproc_dir.reset()


def test_it_is_made_for_the_metrics(serving: Path) -> None:
    instance.claim()
    metrics = Path(BentoMLContainer.prometheus_multiproc_dir.get())
    assert (metrics.parent.parent, metrics.name, list(metrics.iterdir())) == (serving, "metrics", [])
    assert circus.create_standalone_arbiter.keywords == {"check_delay": instance.CHECK}


def test_a_full_disk_is_said_in_one_sentence(serving: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SystemExit, match=r"^error: no folder can be made in \S+ \(No space left on device\): free"):
        instance.claim()


def test_other_programs_make_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance.tempfile, "tempdir", str(tmp_path))
    instance.claim()
    with click.Context(click.Command("build"), info_name="build"):
        instance.claim()
    assert not list(tmp_path.iterdir())
