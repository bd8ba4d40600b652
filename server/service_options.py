"""The options that describe a service, for every command line that takes them."""

import argparse

from server.request_plan import FAILURES, quoted
from server.service import FLAGS, Service, ServiceError


def add_service_options(parser: argparse.ArgumentParser, about: str) -> None:
    """Add one option for each flag of server.service, in a group that `about` describes."""
    group = parser.add_argument_group("the service", about)
    group.add_argument(
        "--capacity",
        metavar="K",
        help="serve at most K requests at a time; others wait, first come, first served. "
        "50@0,20@10 is 50 from the first request on, and 20 from 10 s after it on",
    )
    group.add_argument(
        "--queue",
        metavar="Q",
        help="let at most Q requests wait; a further one gets 503 with Retry-After at once",
    )
    group.add_argument(
        "--rate-limit",
        metavar="R[:BURST[:spent]]",
        help="accept R requests per second, and up to BURST at once (default: R / 10, at least 1), "
        "but none at the start with :spent; a further one gets 429 with Retry-After at once",
    )
    group.add_argument(
        "--slowdown",
        metavar="SIGMA,KAPPA",
        help="a request that begins as one of n in service takes its delay times "
        "1 + SIGMA (n - 1) + KAPPA n (n - 1), as in 0.02,0.0005",
    )
    group.add_argument(
        "--stall",
        metavar="EVERY:FOR",
        help="stand still for FOR seconds, every EVERY seconds after the first request: no "
        "response is sent until it is over, as in 10:1.4",
    )
    group.add_argument(
        "--fault-share",
        metavar="KIND@PERCENT",
        help="let this share of the requests fail, in these ways: 500@1,reset@0.5 is 1 %% with "
        "status 500, and 0.5 %% with a reset connection. The kinds are "
        f"{', '.join(FAILURES)}",
    )
    group.add_argument(
        "--fault-seed",
        metavar="N",
        help="seed that chooses which requests --fault-share lets fail (default: 1)",
    )


def service_of(arguments: argparse.Namespace) -> Service:
    """Return the service of parsed arguments. Raises ServiceError, which names the option."""
    given = {flag: getattr(arguments, flag.replace("-", "_")) for flag in FLAGS}
    if given["fault-seed"] is not None and given["fault-share"] is None:
        raise ServiceError(
            f"--fault-seed {quoted(given['fault-seed'])}: without a share of faults it chooses "
            "nothing; add --fault-share"
        )
    try:
        return Service.parse({flag: text for flag, text in given.items() if text is not None})
    except ServiceError as error:
        raise ServiceError(f"--{error}") from None
