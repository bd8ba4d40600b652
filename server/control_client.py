"""Ask a running server's control port: health, statistics, ledgers. Standard library only."""

import json
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote, urlsplit

from server.control_token import TokenError, authorization, token_of_environment
from server.ledger import RunRecord, unpack

_TIMEOUT_S = 30.0


class ControlError(RuntimeError):
    """The control port did not do what was asked; the text says what and why.

    `status` is of its answer, 0 if there was none that could be read.
    """

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


def health(control_url: str) -> dict[str, Any]:
    """The server's `nonce` (of this start), `pid` and `version`. Raises ControlError."""
    return _json(control_url, "/health")


def stats(control_url: str) -> dict[str, Any]:
    """The server's counters; docs/server.md says what each means. Raises ControlError."""
    return _json(control_url, "/stats")


def fetch_run(control_url: str, name: str) -> RunRecord:
    """The ledger of a run. Raises ControlError, also where there is none of that name."""
    try:
        return unpack(_call(control_url, "GET", _run_path(name)))
    except (ValueError, LookupError, TypeError) as error:
        raise ControlError(f"{control_url} sent no ledger that can be read: {error}") from error


def announce_run(control_url: str, name: str, rows: int) -> None:
    """Have rows kept for a run, before its first request. Raises ControlError.

    `delete_run` frees them, whether or not a request has come.
    """
    _call(control_url, "PUT", f"{_run_path(name)}?rows={rows}")


def delete_run(control_url: str, name: str) -> None:
    """Free the ledger of a run. Raises ControlError, also where there is none of that name."""
    _call(control_url, "DELETE", _run_path(name))


def _json(control_url: str, path: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(_call(control_url, "GET", path))
    except ValueError as error:
        raise ControlError(f"GET {control_url}{path}: not JSON: {error}") from error
    return answer


def _run_path(name: str) -> str:
    return f"/runs/{quote(name, safe='')}"


def _call(control_url: str, method: str, path: str) -> bytes:
    parts = urlsplit(control_url)
    if parts.scheme != "http" or not parts.hostname:
        raise ControlError(f"{control_url!r} is not a URL like http://127.0.0.1:8081")
    connection = HTTPConnection(parts.hostname, parts.port, timeout=_TIMEOUT_S)
    try:
        token = token_of_environment()
        headers = {"Authorization": authorization(token)} if token else {}
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        body = response.read()
    except (OSError, HTTPException, TokenError) as error:
        raise ControlError(f"{method} {control_url}{path}: {error}") from error
    finally:
        connection.close()
    if response.status >= 300:
        reason = body.decode(errors="replace").strip()
        answer = f"{response.status}, {reason}"
        raise ControlError(f"{method} {control_url}{path}: {answer}", response.status)
    return body
