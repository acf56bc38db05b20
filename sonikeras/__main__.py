"""`python -m sonikeras` is `sonikeras`."""

from sonikeras.cli.main import main

if __name__ == "__main__":
    main()
