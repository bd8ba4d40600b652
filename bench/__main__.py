"""Command line of the testbed."""

import argparse
import sys

from server import __version__
from server.process import ServerProcess, ServerStartError

EXIT_OK = 0
EXIT_REQUESTS_FAILED = 1
EXIT_USAGE = 2
EXIT_ENVIRONMENT = 3
EXIT_INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """Do what the arguments say; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.verb_function(arguments))
    except ServerStartError as error:
        print(f"crawlbench: {error}", file=sys.stderr)
        return EXIT_ENVIRONMENT
    except KeyboardInterrupt:
        print("crawlbench: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="crawlbench",
        description="A testbed for network crawlers.",
        epilog="Exit codes: 0 ok, 1 requests failed, 2 usage, 3 environment, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"crawlbench {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    run = verbs.add_parser(
        "run",
        help="show the delay server at work (the sweep over crawlers is not built yet)",
        description="Starts the delay server, asks it for a few delays one request at a time, and "
        "prints what both ends saw. The sweep over crawlers is not built yet.",
    )
    run.set_defaults(verb_function=_demonstrate)
    return parser


def _demonstrate(_: argparse.Namespace) -> int:
    from bench.demonstration import demonstrate

    with ServerProcess() as server:
        all_answered = demonstrate(server.addresses, sys.stdout)
    return EXIT_OK if all_answered else EXIT_REQUESTS_FAILED


if __name__ == "__main__":
    sys.exit(main())
