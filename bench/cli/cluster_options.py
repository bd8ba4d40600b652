"""Options for more machines: which cluster carries the runs, and how it reaches the server."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING

from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.cluster.address import ClusterAddress
    from bench.measure.carriers import Place
    from bench.measure.runner import Target


def add_cluster(parser: ArgumentParser) -> None:
    """Add `cluster` and `bind`, which are None if they are not given."""
    parser.add_argument(
        "--cluster",
        type=_checked_address,
        metavar="ADDRESS",
        help="have crawlers run on the workers of a Dask cluster, which needs the package "
        "distributed: tcp://HOST:PORT of its scheduler,"
        " or tls://HOST:PORT with the certificates in Dask's configuration "
        "(distributed.comm.tls.ca-file, client.cert and client.key in ~/.config/dask/*.yaml, or "
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE and so on), or local:N for N workers on this machine;"
        " each run is shared among all of them, unless --processes says otherwise",
    )
    parser.add_argument(
        "--bind",
        type=_checked_bind,
        metavar="IP",
        help="with --cluster: have the server listen on this address of this machine, so that "
        "workers on other machines reach it (default: 127.0.0.1)",
    )


def _checked_address(text: str) -> "ClusterAddress":
    from bench.cluster.address import ClusterAddress, ClusterAddressError

    try:
        return ClusterAddress.parse(text)
    except ClusterAddressError as error:
        raise ArgumentTypeError(str(error)) from None


def _checked_bind(text: str) -> str:
    try:
        is_usable = not ip_address(text).is_unspecified
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ArgumentTypeError(
            f"{text!r} is not an IP address under which the workers reach this machine"
        )
    return text


@contextmanager
def cluster_of(arguments: Namespace) -> "Iterator[Place | None]":
    """Connect the cluster that is asked for, if any, and yield it.

    Runs are then shared among as many processes as there are workers, unless the arguments say
    otherwise. Raises UsageError and bench.cluster.errors.ClusterError.
    """
    if arguments.cluster is None:
        if arguments.bind is not None:
            raise UsageError("--bind only works with --cluster")
        yield None
        return
    from bench.cluster.carrier import ClusterCarrier, is_on_loopback
    from bench.measure.carriers import Place

    url = arguments.url or arguments.urls
    if arguments.bind is not None and url:
        raise UsageError(
            "--bind is for the server that crawlbench starts: leave it out with --url and --urls"
        )
    with ClusterCarrier(arguments.cluster) as carrier:
        workers = carrier.workers
        others = [one.name for one in workers if not is_on_loopback(one.address)]
        if others and not (arguments.bind or url):
            raise UsageError(
                f"worker {others[0]} cannot reach a server on 127.0.0.1: give --bind with the "
                "address of this machine that it reaches, or --url with that of a server"
            )
        if others and arguments.url and is_on_loopback(arguments.url):
            raise UsageError(
                f"--url {arguments.url} would lead worker {others[0]} to its own machine: give the "
                "address under which it reaches the server"
            )
        if arguments.processes is None and not _has_processes(arguments):
            arguments.processes = (len(workers),)
        names = ", ".join(one.name for one in workers)
        note = f"crawlers on {len(workers)} workers of {arguments.cluster}: {names}"
        yield Place(carrier, arguments.bind or "", note, all(one.has_our_clock for one in workers))


def _has_processes(arguments: Namespace) -> bool:
    """Return whether the numbers of processes are given otherwise than by --processes."""
    if "crawler" in arguments:
        return bool(arguments.crawler.processes > 1)
    return arguments.resume is not None or any(
        one.processes > 1 for one in arguments.crawlers or ()
    )


def check_clock(place: "Place | None", target: "Target | None") -> None:
    """Raise UsageError if nothing tells how the clocks of the workers differ."""
    if place is None or place.has_our_clock or target is None or target.is_ours:
        return
    raise UsageError(
        f"{target.url} is not the address of a crawlbench server, and only such a server tells how "
        "the clocks of several machines differ: leave out --cluster"
    )
