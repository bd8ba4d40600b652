"""The secret that the control port asks for where other machines can reach it. Both ends.

Standard library only.
"""

import hmac
import os
import re

TOKEN_VARIABLE = "CRAWLBENCH_CONTROL_TOKEN"  # noqa: S105 - a name, and no secret
"""In the environment of the server, and of whoever asks it."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{8,200}")


class TokenError(ValueError):
    """A token that cannot be used; the text names the variable, and what is wrong."""


def token_of_environment() -> str:
    """The token, "" if there is none. Raises TokenError."""
    token = os.environ.get(TOKEN_VARIABLE, "")
    if token and not _TOKEN.fullmatch(token):
        raise TokenError(f"{TOKEN_VARIABLE} is 8 to 200 letters, digits and ._~+/=-")
    return token


def authorization(token: str) -> str:
    """The value of the Authorization header that carries a token."""
    return f"Bearer {token}"


def is_authorized(header: str, token: str) -> bool:
    """Whether an Authorization header carries the token; takes as long for any guess."""
    return hmac.compare_digest(header.encode("latin-1", "replace"), authorization(token).encode())
