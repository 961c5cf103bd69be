"""`python -m drywallqa` is the command line."""

import sys

from drywallqa.cli import main

if __name__ == "__main__":
    sys.exit(main())
