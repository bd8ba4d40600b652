"""The secret that the control port requires where other machines can reach it. Used by both ends.

Standard library only.
"""

import hmac
import os
import re

TOKEN_VARIABLE = "CRAWLBENCH_CONTROL_TOKEN"  # noqa: S105 - a name, not a secret
"""The environment variable with the token, for the server and for its clients."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{8,200}")


class TokenError(ValueError):
    """A token that cannot be used; the text names the variable and says what is wrong."""


def token_of_environment() -> str:
    """Return the token, or "" if there is none. Raises TokenError."""
    token = os.environ.get(TOKEN_VARIABLE, "")
    if token and not _TOKEN.fullmatch(token):
        raise TokenError(
            f"{TOKEN_VARIABLE} is not a token: use 8 to 200 letters, digits and ._~+/=-"
        )
    return token


def authorization(token: str) -> str:
    """Return the value of the Authorization header that carries a token."""
    return f"Bearer {token}"


def is_authorized(header: str, token: str) -> bool:
    """Return whether a header carries the token; takes the same time for any guess."""
    return hmac.compare_digest(header.encode("latin-1", "replace"), authorization(token).encode())
