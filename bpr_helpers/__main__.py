"""`python -m bpr_helpers` is `bpr`."""

from bpr_helpers.course.cli import main

main()
