"""Words for tests that change the project's own params.yaml."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

# By libyaml where it is there: the file is written for every test.
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
# Keys, each named by its path such as `train.image.epochs`, and their new values.
Change = dict[str, Any]
Write = Callable[[Change], Path]
