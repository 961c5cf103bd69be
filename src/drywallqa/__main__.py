"""Run the command line with `python -m drywallqa`."""

import sys

from drywallqa.cli import main

if __name__ == "__main__":
    sys.exit(main())
