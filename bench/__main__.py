"""`python -m bench`, the console script `crawlbench`: signals, streams, errors, exit codes."""

import os
import signal
import sys

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__" and not sys.flags.safe_path:
    # Without -P the current folder comes first, and a server.py there would hide our package.
    sys.path[0] = _ROOT

# Until main has begun, Ctrl-C ends the process without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

# ruff: noqa: E402 - the imports take most of the time in which Ctrl-C may come
from importlib.util import find_spec

# In the .venv of scripts/env.sh our packages come first. Elsewhere PYTHONPATH may hide them.
for _name in ("crawlers", "plots", "server"):
    _spec = find_spec(_name)
    if _spec and _spec.origin and os.path.dirname(os.path.dirname(_spec.origin)) != _ROOT:
        print(
            f"crawlbench: {_spec.origin} hides the package {_name!r} of crawlbench: rename it, or "
            "take its folder out of PYTHONPATH",
            file=sys.stderr,
        )
        sys.exit(3)

from bench.cli.parser import parse
from bench.exit_codes import EXIT_ENVIRONMENT, EXIT_INTERRUPTED, EXIT_USAGE
from bench.interrupts import interrupt_once
from bench.printable import protect_standard_streams
from crawlers.registry import CrawlerNotInstalledError, UnknownCrawlerError
from server.standard_streams import run_program


def main(argv: list[str] | None = None) -> int:
    """Do what the arguments say; return the exit code."""
    return run_program("crawlbench", lambda: _main(argv), needs_reader=False)


def _main(argv: list[str] | None) -> int:
    protect_standard_streams()
    interrupt_once()
    try:
        return _do(argv)
    except KeyboardInterrupt:
        print("crawlbench: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except OSError as error:
        gone = "the current folder no longer exists: change to another one"
        print(f"crawlbench: {error if _has_current_folder() else gone}", file=sys.stderr)
        return EXIT_ENVIRONMENT


def _has_current_folder() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - no pathlib for this
    except OSError:
        return False
    return True


def _do(argv: list[str] | None) -> int:
    verb, arguments = parse(sys.argv[1:] if argv is None else argv)
    from bench.errors import MachineError, UsageError
    from server.control_client import ControlError
    from server.process import ServerStartError
    from server.process_usage import raise_descriptor_limit

    raise_descriptor_limit()
    try:
        return verb.load().run(arguments)
    except (UsageError, UnknownCrawlerError) as error:
        print(f"crawlbench: {error}", file=sys.stderr)
        return EXIT_USAGE
    except (MachineError, ControlError, CrawlerNotInstalledError, ServerStartError) as error:
        print(f"crawlbench: {error}", file=sys.stderr)
        return EXIT_ENVIRONMENT


if __name__ == "__main__":
    sys.exit(main())
