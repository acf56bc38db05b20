"""`python -m sonikeras` is `sonikeras`."""

from sonikeras.cli import main

main()
