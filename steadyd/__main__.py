"""`python -m steadyd`."""

from steadyd.cli import main

if __name__ == "__main__":
    main()
