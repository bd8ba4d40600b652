"""Locust's FastHttpUser as a crawler, to compare ours with: C users share one list of jobs.

    python3 -m venv /tmp/locust && /tmp/locust/bin/pip install locust
    ./benchmark.sh run --delay 0 --concurrency 100 --waves 200 --trials 5 \\
        --crawlers asyncio-uvloop,locust=scripts.locust_users:crawl@/tmp/locust/bin/python
"""

from collections.abc import Iterator
from time import monotonic_ns

import gevent
from locust import FastHttpUser, task
from locust.env import Environment

from crawlers.contract import HEADERS, Job, Recorder


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job; locust keeps its own statistics too, as in its own tests."""
    done = gevent.event.Event()
    busy = concurrency

    class Crawler(FastHttpUser):  # type: ignore[misc]
        host = "http://127.0.0.1"  # each job has its own URL
        network_timeout = connection_timeout = timeout_s
        max_redirects = 0

        @task  # type: ignore[untyped-decorator]
        def fetch_all(self) -> None:
            nonlocal busy
            for job in jobs:
                start_ns = monotonic_ns()
                # One name for all requests, because locust keeps statistics by name.
                response = self.client.get(job.url, headers=HEADERS, name="job")
                size = len(response.content or b"")
                status = response.status_code
                error = "" if status else "failed"
                record(job.seq, start_ns, monotonic_ns(), status, size, error)
            busy -= 1
            if not busy:
                done.set()
            gevent.get_hub().switch()  # locust calls this until the user is stopped

    environment = Environment(user_classes=[Crawler])
    runner = environment.create_local_runner()
    runner.start(concurrency, spawn_rate=concurrency)
    done.wait()
    runner.quit()
