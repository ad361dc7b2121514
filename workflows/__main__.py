"""`python -m workflows` is the console script `pyramid`."""

from workflows.cli import main

main()
