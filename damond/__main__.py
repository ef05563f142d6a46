"""``python -m damond`` is the command ``damond``."""

import sys

from damond.cli import main

if __name__ == "__main__":
    sys.exit(main())
