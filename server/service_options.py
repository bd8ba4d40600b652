"""The options that describe a service, for every command line that takes them."""

import argparse

from server.request_plan import FAULTS
from server.service import FLAGS, Service, ServiceError


def add_service_options(parser: argparse.ArgumentParser, about: str) -> None:
    """Add one option for each flag of server.service, in a group that `about` describes."""
    group = parser.add_argument_group("the service", about)
    group.add_argument(
        "--capacity",
        metavar="K",
        help="serve at most K requests at a time; others wait, first come, first served. "
        "50@0,20@10: from 10 s after the first request on, 20",
    )
    group.add_argument(
        "--queue",
        metavar="Q",
        help="let at most Q requests wait; a further one gets 503 with Retry-After at once",
    )
    group.add_argument(
        "--rate-limit",
        metavar="R[:BURST]",
        help="accept R requests per second, and up to BURST at once (default: R / 10, at least 1); "
        "a further one gets 429 with Retry-After at once",
    )
    group.add_argument(
        "--slowdown",
        metavar="SIGMA,KAPPA",
        help="with n requests in service, one takes its delay times "
        "1 + SIGMA (n - 1) + KAPPA n (n - 1)",
    )
    group.add_argument(
        "--stall",
        metavar="EVERY:FOR",
        help="send no response for FOR seconds, every EVERY seconds after the first request",
    )
    group.add_argument(
        "--fault-share",
        metavar="KIND@PERCENT",
        help="let this share of the requests fail, as in 500@1,reset@0.5. The kinds are "
        f"{', '.join(FAULTS)}",
    )
    group.add_argument(
        "--fault-seed",
        metavar="N",
        help="choose other requests to fail; the same number chooses the same ones (default: 1)",
    )


def service_of(arguments: argparse.Namespace) -> Service:
    """Return the service of parsed arguments. Raises ServiceError, which names the option."""
    given = {flag: getattr(arguments, flag.replace("-", "_")) for flag in FLAGS}
    try:
        return Service.parse({flag: text for flag, text in given.items() if text is not None})
    except ServiceError as error:
        raise ServiceError(f"--{error}") from None
