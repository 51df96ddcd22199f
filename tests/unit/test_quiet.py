"""What Keras need not import looks absent to it alone."""

import importlib
import sys

import pytest

from redoubt.quiet import hidden


def test_a_package_is_hidden_for_as_long_as_it_is_said() -> None:
    with hidden("colorsys_not_there", "json"):
        with pytest.raises(ImportError):
            importlib.import_module("colorsys_not_there")
        # Imported before, and so taken from nobody.
        assert importlib.import_module("json").dumps({}) == "{}"
    assert "colorsys_not_there" not in sys.modules


def test_it_can_be_imported_afterwards() -> None:
    sys.modules.pop("tabnanny", None)
    with hidden("tabnanny"), pytest.raises(ImportError):
        importlib.import_module("tabnanny")
    assert importlib.import_module("tabnanny").check
