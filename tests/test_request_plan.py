import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.request_plan import (
    DEFAULT_DELAY_US,
    FAULTS,
    MAX_DELAY_US,
    MAX_SEQ,
    MAX_SIZE_BYTES,
    NO_SEQ,
    Plan,
    PlanError,
    parse_delay_us,
    parse_query,
    to_target,
)

names = st.text(min_size=1, max_size=100).filter(
    lambda text: text.isprintable() and text not in (".", "..")
)
plans = st.builds(
    Plan,
    name=st.just("") | names,
    seq=st.just(NO_SEQ) | st.integers(0, MAX_SEQ),
    delay_us=st.integers(0, MAX_DELAY_US),
    size_bytes=st.integers(0, MAX_SIZE_BYTES),
    fault=st.sampled_from(("", *FAULTS)),
)


@given(plans)
@example(Plan("a&b=c%20+#?/é", 0, 1, 0))
def test_a_plan_survives_its_way_through_a_url(plan: Plan) -> None:
    target = to_target(plan)
    assert target.isascii()
    path, _, query = target.partition("?")
    assert path == "/add"
    assert parse_query(query) == plan


@given(st.text())
def test_any_query_is_a_plan_or_a_reason_in_one_line_of_ascii(query: str) -> None:
    try:
        plan = parse_query(query)
    except PlanError as error:
        reason = str(error)
        assert reason.isascii()
        assert "\n" not in reason
        assert len(reason) < 250
    else:
        assert parse_query(to_target(plan).partition("?")[2]) == plan


@given(st.integers(0, MAX_DELAY_US))
def test_a_delay_of_three_decimals_is_exact(delay_us: int) -> None:
    assert parse_delay_us(f"{delay_us // 1000}.{delay_us % 1000:03d}") == delay_us


def test_the_urls_of_the_book_stay_valid() -> None:
    assert parse_query("name=asyncio&delay=100&abcdefghij") == Plan("asyncio", NO_SEQ, 100_000, 1)
    assert parse_query("name=asyncio") == Plan("asyncio", NO_SEQ, DEFAULT_DELAY_US, 1)
    assert DEFAULT_DELAY_US == 1_024_000


@pytest.mark.parametrize(
    "delay",
    [
        *("", " ", "-1", "-0", "+1", "1.", ".5", "1.2345", "60000.001", "60001", "100000", "1e3"),
        *("1e400", "NaN", "nan", "inf", "-inf", " 1_000 ", "1_000", "0x10", "1,5", "1\n", "1\x00"),
        *("٣", "１２", "²", "9" * 10_240, "1.٣"),  # noqa: RUF001 - digits, but not ASCII
    ],
)
def test_a_delay_is_ascii_digits_within_its_range(delay: str) -> None:
    with pytest.raises(PlanError, match=r"^delay is .* 0 to 60000"):
        parse_delay_us(delay)


@pytest.mark.parametrize(
    "query",
    [
        *("name=", "name", "name=%00", "name=a%0Ab", "name=%E9", "name=" + "a" * 101, "name=.."),
        *("name=" + "a" * 10_240, "name=%ED%A0%80", "name=a&name=a", "name=a&n%61me=b"),
        *("seq=", "seq=-1", "seq=1.0", "seq=1e2", "seq=NaN", "seq=%D9%A3", "seq=+1", "seq=1_0"),
        *("seq=1000000000000000", "seq=" + "1" * 10_240, "seq=1&seq=1", "seq=1%00"),
        *("size=-1", "size=16777217", "size=1e400", "size=1.5", "size=" + "9" * 10_240),
        *("size=1&size=1", "size=%20%31", "delay=1&delay=1", "delay=%D9%A3", "delay=%00"),
    ],
)
def test_what_is_malformed_out_of_range_or_given_twice_is_rejected(query: str) -> None:
    with pytest.raises(PlanError):
        parse_query(query)


def test_the_ends_of_the_ranges_are_accepted() -> None:
    assert parse_query("delay=60000&size=16777216&seq=999999999999999") == Plan(
        "", MAX_SEQ, MAX_DELAY_US, MAX_SIZE_BYTES
    )
    assert parse_query("delay=0.000&size=0&seq=0&x=1&x=2&&") == Plan("", 0, 0, 0)


@pytest.mark.parametrize(
    "plan",
    [
        Plan("a\n"),
        Plan("a" * 101),
        Plan("a", -2),
        Plan("a", MAX_SEQ + 1),
        Plan("a", 0, -1),
        Plan("a", 0, MAX_DELAY_US + 1),
        Plan("a", 0, 0, -1),
        Plan("a", 0, 0, MAX_SIZE_BYTES + 1),
    ],
)
def test_no_url_is_written_that_the_server_would_refuse(plan: Plan) -> None:
    with pytest.raises(PlanError):
        to_target(plan)
