"""`python -m sonikeras` is `sonikeras`."""

from sonikeras.cli.main import main

main()
