"""`python -m drywallqa` is the same as the command `drywallqa`."""

import sys

from drywallqa.cli import main

sys.exit(main())
