"""``python -m bench``: what `contrib/bench` runs."""

import sys

from bench._cli import main

sys.exit(main())
