"""Names, and what is said of them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import redoubt.attacks
from redoubt.attacks.core.base import Attack
from redoubt.scenarios.catalogue import CATALOGUE, CatalogueError, Entry, find

MAKERS = [name for name, entry in CATALOGUE.items() if entry.make is not None]


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_entry_teaches(name: str) -> None:
    entry = find(name)
    assert entry.name == name
    assert re.fullmatch(r"[A-Z].{30,110}\.", entry.says)
    assert re.fullmatch(r"arXiv \d{4}\.\d{4,5}|Machine Learning, NTU|-", entry.paper)


def test_what_trains_networks_takes_more_rows() -> None:
    assert {name for name, entry in CATALOGUE.items() if entry.points != Entry.points} == {"transfer-matrix"}
    assert CATALOGUE["transfer-matrix"].points > Entry.points


@pytest.mark.parametrize("name", MAKERS)
def test_options_are_those_of_the_attack(name: str) -> None:
    entry = CATALOGUE[name]
    assert entry.make is not None
    attack = entry.make(**entry.options)
    assert isinstance(attack, Attack)
    for option in entry.options:
        changed = entry.make(**{**entry.options, option: 7})
        assert repr(changed) != repr(attack), f"{option} changes nothing"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pdg", "no attack 'pdg'; did you mean 'pgd'"),
        ("carlini", "did you mean 'carlini-wagner'"),
        ("xx", "'xx'; known"),
    ],
)
def test_an_unknown_name_names_the_nearest(name: str, says: str) -> None:
    with pytest.raises(CatalogueError, match=re.escape(says)) as error:
        find(name)
    assert all(known in str(error.value) for known in CATALOGUE)


@pytest.mark.parametrize("name", redoubt.attacks.__all__)
def test_the_package_offers_what_it_lists(name: str) -> None:
    assert getattr(redoubt.attacks, name).__name__ == name


def test_the_package_offers_nothing_else() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Pgd'"):
        redoubt.attacks.Pgd  # noqa: B018


def test_the_catalogue_needs_no_tensorflow(project: Path) -> None:
    code = "import sys, redoubt.scenarios.catalogue; print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
