"""Which URLs are a run of a delay server, and why others are not."""

from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from bench.measure.targets import UrlsError, read_urls, recognise_urls
from server.process import ServerProcess
from server.request_plan import Plan


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess() as started:
        yield started


def test_one_name_and_all_seq_in_order_are_a_run(server: ServerProcess) -> None:
    url = server.addresses.data_url
    urls = [f"{url}/add?name=a&seq=0&delay=3", f"{url}/add?seq=1&name=a&delay=0.5&size=7&x=y"]
    target, why = recognise_urls(urls)
    assert (target.is_ours, target.urls, why) == (True, tuple(urls), "")
    assert target.control_url == server.addresses.control_url
    assert target.plans == (Plan("a", 0, 3000), Plan("a", 1, 500, 7))


@pytest.mark.parametrize(
    ("queries", "why"),
    [
        (["/add?seq=0"], "has no name=, by which the server records it"),
        (["/add?name=a"], "should have seq=0"),
        (["/add?name=a&seq=1"], "should have seq=0"),
        (["/add?name=a&seq=0", "/add?name=a&seq=0"], "should have seq=1"),
        (["/add?name=a&seq=0", "/add?name=b&seq=1"], "another name than the first"),
        (["/add?name=a&seq=0", "/"], "is not of http://127.0.0.1:"),
        (["/", "/add?name=a&seq=1"], "is not of http://127.0.0.1:"),
        (["/add?name=a&seq=0&delay=long"], "delay is 'long'"),
        (["/add?name=known&seq=0"], "already has requests of the name 'known'"),
    ],
)
def test_other_shapes_are_not_and_it_is_said_why(
    server: ServerProcess, queries: list[str], why: str
) -> None:
    url = server.addresses.data_url
    urlopen(f"{url}/add?name=known&delay=0").close()  # noqa: S310
    urls = tuple(url + query for query in queries)
    target, said = recognise_urls(urls)
    assert (target.is_ours, target.urls, target.plans) == (False, urls, ())
    assert why in said


def test_servers_that_are_not_ours_are_nobodys_business(server: ServerProcess) -> None:
    for url in (
        f"{server.addresses.control_url}/add?name=a&seq=0",
        "http://127.0.0.1:1/add?name=a&seq=0",
        f"{server.addresses.data_url}/",
    ):
        target, why = recognise_urls([url])
        assert (target.is_ours, why) == (False, "")


def test_a_list_of_urls_without_an_end_is_refused() -> None:
    with pytest.raises(UrlsError, match="/dev/zero is too long: give up to 100,000,000 bytes"):
        read_urls("/dev/zero")
