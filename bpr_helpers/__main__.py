"""`python -m bpr_helpers` is `bpr`."""

from bpr_helpers.cli import main

main()
