"""`python -m bench`, from the root of the source tree."""

import sys

from bench.bench import main

if __name__ == "__main__":
    sys.exit(main())
