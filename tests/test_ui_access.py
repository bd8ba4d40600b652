"""Who is let in: every request that a foreign page or another user could send is refused."""

from dataclasses import replace

import pytest

from bench.ui.access import Access, Asked, without_token

ACCESS = Access(8000, "secret")
GOOD = Asked("GET", "127.0.0.1:8000", token=ACCESS.token)
CHANGE = replace(GOOD, method="POST", origin="http://127.0.0.1:8000")


@pytest.mark.parametrize(
    "asked",
    [
        GOOD,
        replace(GOOD, host="localhost:8000", origin="http://localhost:8000"),
        replace(GOOD, fetch_site="same-origin"),
        replace(GOOD, fetch_site="none"),
        replace(GOOD, is_page=True, fetch_site="cross-site"),
        CHANGE,
        replace(CHANGE, method="DELETE", fetch_site="same-origin"),
        replace(CHANGE, method="GET", is_websocket=True),
    ],
)
def test_own_pages_are_let_in(asked: Asked) -> None:
    assert ACCESS.refusal(asked) == ""


@pytest.mark.parametrize(
    "asked",
    [
        replace(GOOD, token=""),
        replace(GOOD, token=ACCESS.token.upper()),
        replace(GOOD, token=f"{ACCESS.token}é"),
        replace(GOOD, host=""),
        replace(GOOD, host="127.0.0.1"),
        replace(GOOD, host="127.0.0.1:8001"),
        replace(GOOD, host="127.0.0.2:8000"),
        replace(GOOD, host="evil.example:8000"),
        replace(GOOD, host="localhost.evil.example:8000"),
        replace(GOOD, origin="http://evil.example"),
        replace(GOOD, origin="http://127.0.0.1:8001"),
        replace(GOOD, origin="http://localhost:8000"),
        replace(GOOD, origin="null"),
        replace(GOOD, fetch_site="cross-site"),
        replace(GOOD, fetch_site="same-site"),
        replace(GOOD, is_page=True, fetch_site="cross-site", token=""),
        replace(CHANGE, origin=""),
        replace(CHANGE, origin="https://127.0.0.1:8000"),
        replace(CHANGE, fetch_site="same-site"),
        replace(CHANGE, is_page=True, fetch_site="cross-site"),
        replace(CHANGE, token=""),
        replace(CHANGE, method="GET", is_websocket=True, origin=""),
        replace(CHANGE, method="GET", is_websocket=True, origin="http://evil.example"),
    ],
)
def test_all_others_are_refused(asked: Asked) -> None:
    refusal = ACCESS.refusal(asked)
    assert refusal
    assert refusal.isprintable()
    assert "secret" not in refusal


def test_the_token_leaves_the_address() -> None:
    assert without_token("/?token=a") == "/"
    assert without_token("/compare?a=1&token=x&b=2") == "/compare?a=1&b=2"
    assert without_token("/compare?a=1&b=2&token=x") == "/compare?a=1&b=2"
