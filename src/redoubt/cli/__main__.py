"""`python -m redoubt.cli` is `redoubt`."""

import sys

from redoubt.cli import main

sys.exit(main())
