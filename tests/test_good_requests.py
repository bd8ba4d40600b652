"""One answer to whether a request was good, for every reader of it."""

import numpy as np
import pytest

from bench.analysis.accounts import Accounts
from bench.primes.experiment import items_of
from bench.primes.saved_run import look_at
from crawlers.contract import ERROR_WORDS, failure_word, is_good
from crawlers.work import Work
from tests.accounts import arrivals, fetches, load, summary_of
from tests.factories import MS, run_row


@pytest.mark.parametrize(
    ("error", "status", "of_a_plan", "of_any_server"),
    [
        ("", 200, "", ""),
        ("", 0, "status 0", "status 0"),
        ("", 99, "status 99", "status 99"),
        ("", 204, "status 204", ""),
        ("", 304, "status 304", ""),
        ("", 399, "status 399", ""),
        ("", 400, "status 400", "status 400"),
        ("", 503, "status 503", "status 503"),
        ("closed", 200, "closed", "closed"),
        ("reset", 500, "reset", "reset"),
        ("timeout", 0, "timeout", "timeout"),
    ],
)
def test_a_request_is_good_or_named_by_what_is_wrong(
    error: str, status: int, of_a_plan: str, of_any_server: str
) -> None:
    code = ERROR_WORDS.index(error)
    for is_planned, word in ((True, of_a_plan), (False, of_any_server)):
        assert failure_word(code, status, is_planned=is_planned) == word
        assert is_good(code, status, is_planned=is_planned) is (not word)
        columns = np.array([code, 0]), np.array([status, 200])
        assert is_good(*columns, is_planned=is_planned).tolist() == [not word, True]
        # The numbers of a run count it the same, whether there is a ledger or not.
        fetched = fetches((0, 0, 10, status, 1, code))
        arrived = arrivals((0, 1, 1, 9, 0, 200, 1)) if is_planned else None
        assert summary_of(fetched, arrived, 1).errors == ({word: 1} if word else {})


def test_a_save_that_failed_is_taken_off_once() -> None:
    """One whose refusal was cut short has an error and a status, and used to count twice."""
    work = Work("bench.primes.work:primes", 10, 0, 1)
    count = len(items_of(work))
    rows = [(seq, 10 * seq + 5, 10 * seq + 9, 200, 1, 0) for seq in range(count)]
    rows[1] = (*rows[1][:3], 500, 0, ERROR_WORDS.index("closed"))
    saved = [(seq, 1, 10 * seq + 6, 10 * seq + 8, 0, 200, 1) for seq in range(count)]
    computed = {
        "item": np.array(items_of(work)),
        "start_ns": np.arange(count) * 10 * MS,
        "end_ns": np.arange(count) * 10 * MS + MS,
    }
    run = run_row(count, delay_us=0, crawler="threads", work=work)
    found = look_at(run, Accounts(fetches(*rows), arrivals(*saved), load()), computed)
    assert (found.found, found.saved) == (count, count - 1)
    assert [one.reason for one in found.failures] == ["closed"]
