"""The command `llama2py`, which heeds an interrupt while the package is still being imported.

It lies outside the package, since what lies inside is imported after all of that.
"""

import signal

__all__ = ["main"]


def main() -> int:
    """Runs the command line and returns its exit code."""
    # Until there is something to tell, an interrupt ends this process as it does a program in C.
    heeded = signal.getsignal(signal.SIGINT)
    if heeded is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from llama2py import cli  # noqa: PLC0415

    signal.signal(signal.SIGINT, heeded)
    return cli.main()
