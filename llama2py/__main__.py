"""`python -m llama2py`: the command line."""

import sys

from llama2py.cli import main

sys.exit(main())
