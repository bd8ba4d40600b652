"""Results files that earlier versions wrote are read, with the same numbers.

Those of tests/data/schema-4 were measured by the last version before outcomes came over a pipe:

    run --crawlers protocol,asyncio --concurrency 1,10 --delay 20 --trials 6 -n 40
    calibrate --crawlers protocol,serial -n 100
    primes --work primes --sizes 64,128 --savers no-io,serial,batches,threads --delay 5

with ceilings of 200 requests. Those of tests/data/schema-5 are the same for the version that began
that schema:

    run --crawlers protocol,tornado-curl --concurrency 1,4 --delay 5 --trials 2 -n 12
    primes --work primes --sizes 64 --savers no-io,serial,threads --delay 5
    crawl protocol -n 60 -c 6 --delay 5

Those of tests/data/schema-6 are the same, too. Its first command names the crawler `tornado`, as
`tornado-curl` is called since then. One more has what a run can ask for since then:

    crawl protocol --delay trace:delays.txt --rate 100 --arrivals poisson -n 60 --capacity 2 \\
        --queue 4 --size 10-20

Those of tests/data/schema-7 have a crawler that adapts:

    run --crawlers protocol,asyncio-aimd --concurrency 4 --delay 5 --trials 1 -n 12
    crawl asyncio-aimd -n 60 -c 20 --delay 5 --capacity 4

and one is a search, with a ceiling of 200 requests, too:

    advise protocol --capacity 2 --delay 20 --duration 0.2 --most 4

Those of tests/data/schema-8 have spiders, with ceilings of 200 requests, too:

    run --crawlers protocol --concurrency 1,4 --delay 5 --trials 1 -n 12
    crawl protocol -n 60 -c 6 --delay 5
    site --spiders asyncio,serial --pages 40 --links 4 --size 2k --delay 5 --hosts 2 \\
        --with redirects@5,missing@5,disallowed@5 --concurrency 4 --per-host 3

Those of tests/data/schema-9 have runs that several processes share:

    run --crawlers protocol --processes 1,2 --concurrency 4 --delay 5 --trials 1 -n 12
    crawl protocol -n 60 -c 6 --delay 5 --processes 2 --server-processes 2
"""

import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from bench.results.store import FILE_NAME
from tests.this_process import bench

DATA = Path(__file__).parent / "data"


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy: what is read must not be changed."""
    shutil.copy(DATA / f"{request.param}.sqlite", tmp_path / FILE_NAME)
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "numbers"),
    [
        ("schema-4/sweep", ("protocol 425 406-448 10 9.3/10 0.850 20.9", "asyncio 401 347-423")),
        ("schema-4/calibration", ("protocol 10 0.292 - 0.076", "serial 1 1.359 - 0.589")),
        ("schema-4/primes", ("serial 0.258", "batches 0.045", "31 of 31")),
        ("schema-5/sweep", ("protocol 355 315-394 4", "tornado 367 360-373 4")),
        ("schema-5/primes", ("serial 0.205", "threads 0.027", "18 of 18")),
        ("schema-5/crawl", ("makespan 0.061 s", "efficiency 0.817", "60 matched,")),
        ("schema-6/sweep", ("protocol 715 714-716 4", "tornado 631 630-632 4")),
        ("schema-6/primes", ("serial 0.110", "threads 0.015", "18 of 18")),
        ("schema-6/crawl", ("makespan 0.066 s", "efficiency 0.758", "60 matched,")),
        ("schema-6/open-loop", ("makespan 0.825 s", "efficiency 1.000", "offered 73.4 requests/s")),
        ("schema-7/sweep", ("protocol 412 - 4", "asyncio-aimd 574 - 4 3.3/4 4.0/4 0.718")),
        ("schema-7/crawl", ("efficiency 0.878", "its own limit 8.0 on average, 20 at most")),
        ("schema-8/sweep", ("protocol 179 - 1", "protocol 551 - 4 3.8/4 0.689")),
        ("schema-8/crawl", ("makespan 0.058 s", "efficiency 0.860", "60 matched,")),
        ("schema-8/site", ("asyncio 4 383 480 79.8 100 0 0 0 kept", "serial 1 131 164 80.2 100")),
        ("schema-9/sweep", ("protocol 302 - 4", "protocol*2 308 - 4 2.1/4 0.385")),
        ("schema-9/crawl", ("makespan 0.087 s", "efficiency 0.574", "60 matched,")),
        ("schema-7/advice", ("protocol 2 2 97.9 97.6-98.1", "Use protocol with 2 at a time: 97.9")),
    ],
    indirect=["folder"],
)
def test_a_report_of_older_results_has_the_same_numbers(
    folder: Path, numbers: tuple[str, ...]
) -> None:
    before = (folder / FILE_NAME).read_bytes()
    done = bench("report", "--all", str(folder))
    assert done.returncode == 0, done
    words = done.stdout.split()
    for line in numbers:
        assert line.split() in [words[at : at + len(line.split())] for at in range(len(words))], (
            line
        )
    assert (folder / FILE_NAME).read_bytes() == before


@pytest.mark.parametrize(
    ("folder", "digest"),
    [
        ("schema-4/sweep", "57ff7faa76f72223cc49e34efeaef51e9ea95fce6b76664d4c535e9e2e62a067"),
        (
            "schema-4/calibration",
            "e47b298dd5c05e719919cd4bda725779e32591a8bd97966ce784124bb84f3b10",
        ),
        # The bytes of before schema 6, with `tornado` for `tornado-curl`.
        ("schema-5/sweep", "4c8b29d9c509e02737892e5d9a1e2be8d8dcc5c1df4a9305bb2d657b4178850e"),
    ],
    indirect=["folder"],
)
def test_requests_of_older_results_are_exported_byte_for_byte(folder: Path, digest: str) -> None:
    done = bench("export", str(folder), "--what", "requests")
    assert done.returncode == 0, done
    rows = [line.rsplit(",", 4) for line in done.stdout.splitlines()]
    # Four columns were added later. They follow from the others.
    assert rows[0][1:] == ["begin_ns", "due_ns", "process", "machine"]
    at = [rows[0][0].split(",").index(name) for name in ("arrived_ns", "delay_us")]
    for row, *added in rows[1:]:
        arrived_ns, delay_us = (row.split(",")[place] for place in at)
        due_ns = str(int(arrived_ns) + int(delay_us) * 1000) if arrived_ns else ""
        assert added == [arrived_ns, due_ns, "0", ""]
    before = "".join(f"{row[0]}\n" for row in rows)
    assert sha256(before.encode()).hexdigest() == digest
