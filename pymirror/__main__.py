"""``python -m pymirror``, and the console script: an interrupt before anything has begun ends without a traceback."""

import signal


def main() -> None:
    """Runs the command line."""
    # Until `running` watches the signals, the modules are read, and nobody would catch a KeyboardInterrupt.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pymirror.cli import main as run

    run()


if __name__ == "__main__":
    main()
