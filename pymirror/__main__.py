"""``python -m pymirror``."""

from pymirror.cli import main

if __name__ == "__main__":
    main()
