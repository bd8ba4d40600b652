"""Sites over real sockets: what the ports do with what server.site answers."""

import asyncio
import socket
import sys
from urllib.request import urlopen

import pytest

from server.__main__ import main
from server.control_client import ControlError, announce_run, delete_run, fetch_run
from server.ledger import ANSWERED, REFUSED
from server.process import ServerProcess, ServerStartError
from server.service import PLAIN, Service
from server.site.resources import NO_RESOURCE, Kind, number_of
from server.site.site import Site
from server.site.spec import SiteSpec
from tests.conftest import InProcessServer
from tests.raw_client import request

SPEC = SiteSpec.parse("pages=50;links=5;delay=30;redirects=4;disallowed=4")
KEY = SPEC.key
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address on Linux")


async def announce(
    server: InProcessServer, spec: SiteSpec = SPEC, service: Service = PLAIN
) -> None:
    url = server.addresses.control_url
    await asyncio.to_thread(announce_run, url, spec.key, 100, service, spec.text)


async def test_requests_of_a_site_are_answered_and_recorded_in_its_run(
    server: InProcessServer,
) -> None:
    await announce(server)
    site, client = Site(SPEC, server.port), await server.connect()
    robots = number_of(Kind.ROBOTS, 0)
    redirect = next(
        link.number
        for page in range(50)
        for link in site.links_of(page)
        if link.number >= number_of(Kind.REDIRECT, 0)
    )
    numbers = [0, 1, redirect, robots]
    for number in numbers:
        expected = site.answer(0, site.target_of(number))
        response = await client.get(site.target_of(number))
        assert (response.status, response.body) == (expected.status, expected.body)
        assert expected.extra.encode() in response.head
    assert (await client.get(f"{site.prefix}x/../p/%31.html")).status == 200
    assert (await client.get(f"http://127.0.0.1:{server.port}/robots.txt")).status == 200
    assert (await client.get(f"{site.prefix}nothing?x=1")).status == 404
    client.send(request("HEAD", site.prefix))
    head = await client.read_response(is_head=True)
    assert (head.status, head.headers["content-length"]) == (200, "5000")
    refused = await client.get("/site/")
    assert refused.status == 404
    client.send(request("POST", site.prefix))
    refused = await client.read_response()
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
    record = await asyncio.to_thread(fetch_run, server.addresses.control_url, KEY)
    columns = {name: list(column) for name, column in record.columns.items()}
    statuses = [site.status_of(number) for number in numbers]
    assert columns["seq"] == [*numbers, 1, robots, NO_RESOURCE, 0, 0]
    assert columns["status"] == [*statuses, 200, 200, 404, 200, 405]
    assert columns["delay_us"] == [30_000] * 6 + [0, 30_000, 0]
    assert columns["outcome"] == [ANSWERED] * 9
    for arrived_ns, replied_ns, delay_us in zip(
        columns["arrived_ns"], columns["replied_ns"], columns["delay_us"], strict=True
    ):
        assert replied_ns - arrived_ns >= delay_us * 1000


async def test_the_service_of_the_run_holds_for_its_site(server: InProcessServer) -> None:
    service = Service.parse({"rate-limit": "0.001:2", "fault-share": "503@100"})
    await announce(server, service=service)
    client = await server.connect()
    for _ in range(2):
        assert (await client.get(f"/site/{KEY}/")).status == 503
    assert (await client.get(f"/site/{KEY}/")).headers["retry-after"] == "1000"
    record = await asyncio.to_thread(fetch_run, server.addresses.control_url, KEY)
    assert list(record.columns["seq"]) == [0, 0, 0]
    assert list(record.columns["outcome"]) == [ANSWERED, ANSWERED, REFUSED]


async def test_robots_txt_is_that_of_the_site_announced_last(server: InProcessServer) -> None:
    client = await server.connect()
    assert (await client.get("/robots.txt")).status == 404
    later = SiteSpec.parse("pages=3;links=2;crawl-delay=7;delay=0")
    await announce(server)
    await announce(server, later)
    assert b"Crawl-delay: 7\n" in (await client.get("/robots.txt")).body
    await asyncio.to_thread(delete_run, server.addresses.control_url, later.key)
    assert f"Disallow: /site/{KEY}/private/\n" in (await client.get("/robots.txt")).body.decode()
    await asyncio.to_thread(delete_run, server.addresses.control_url, KEY)
    assert (await client.get("/robots.txt")).status == 404


async def test_a_site_that_nobody_announced_is_unknown_and_leaves_nothing(
    server: InProcessServer,
) -> None:
    client = await server.connect()
    for key in (KEY, "x", ""):
        response = await client.get(f"/site/{key}/")
        assert response.status == 404
        assert response.body.startswith(b"there is no such site: announce it")
    assert not server.ledger.runs


ABROAD = "hosts=2;with=off_site"
ABROAD_KEY = SiteSpec.parse(ABROAD).key


async def test_a_site_that_cannot_be_announced_is_refused(server: InProcessServer) -> None:
    url = server.addresses.control_url
    for name, spec, reason in (
        (KEY, "pages=0", "pages=0: give 1 to"),
        (KEY, ";", "must have its key as its name: 1-"),
        ("mine", SPEC.text, f"must have its key as its name: {KEY}"),
        (
            SiteSpec.parse(ABROAD).key,
            ABROAD,
            "3 addresses, one of which is not of the site, and this",
        ),
    ):
        with pytest.raises(ControlError, match=reason) as raised:
            await asyncio.to_thread(announce_run, url, name, 9, PLAIN, spec)
        assert raised.value.status == 400
    assert server.ledger.find(KEY) is None


@on_linux
def test_each_host_of_a_site_has_an_address_and_its_own_pages() -> None:
    spec = SiteSpec.parse("pages=60;links=5;delay=0;hosts=2;off_site=4")
    with ServerProcess("--site", spec.text) as server:  # and thus on 3 addresses
        port = int(server.addresses.data_url.rpartition(":")[2])
        site = Site(spec, port)
        pages = [next(page for page in range(60) if site.host_of(page) == host) for host in (0, 1)]
        away = next(
            link.number
            for page in range(60)
            for link in site.links_of(page)
            if site.host_of(link.number) == 2
        )
        for number in (*pages, away):
            host, target = site.host_of(number), site.target_of(number)
            with urlopen(f"http://127.0.0.{host + 1}:{port}{target}") as response:
                assert response.read() == site.answer(host, target).body
        record = fetch_run(server.addresses.control_url, spec.key)
        assert list(record.columns["seq"]) == [*pages, away]


@on_linux
def test_a_port_that_is_taken_on_one_of_the_addresses_is_named() -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerStartError, match=rf"cannot listen on 127\.0\.0\.2:{port}: "):
            ServerProcess("--port", str(port), "--site-hosts", "2").start()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--site", "pages=0"], "--site: pages=0: give 1 to"),
        (["--site", "hosts=3", "--site-hosts", "2"], "--site-hosts 2: the site needs 3"),
        (["--site-hosts", "2", "--bind", "::1"], "--site-hosts 2: several hosts need --bind"),
        (["--site-hosts", "0"], "'0' is not a number of hosts"),
    ],
)
def test_a_site_on_the_command_line_that_makes_no_sense_is_refused(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert reason in capsys.readouterr().err
