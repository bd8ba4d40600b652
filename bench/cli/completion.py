"""Generates a script for completion of command lines in the shell, with shtab.

argcomplete would instead start this program at each press of Tab, which takes too long with the
start of Python and the imports of this package.
"""

from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator

import shtab

from bench.cli.verbs import VERBS
from crawlers.registry import GROUPS, REGISTRY

_NAMES = " ".join((*(info.name for info in REGISTRY), *GROUPS))
_PREAMBLES = {
    "bash": f"""\
# The name after the last comma of a list.
_crawlbench_crawlers() {{
  local before=
  case $1 in *,*) before=${{1%,*}}, ;; esac
  compgen -P "$before" -W "{_NAMES}" -- "${{1##*,}}"
}}
""",
    "zsh": f"""\
_crawlbench_crawlers() {{ _values -s , crawler {_NAMES} }}
""",
}
_CRAWLERS = {"bash": "_crawlbench_crawlers", "zsh": "_crawlbench_crawlers"}
_COMPLETED = {
    "DIR": shtab.DIRECTORY,
    "FILE": shtab.FILE,
    "PEM": shtab.FILE,
    "NAME": _CRAWLERS,
    "NAME,NAME": _CRAWLERS,
    "A": _CRAWLERS,
    "B": _CRAWLERS,
}
"""Completer of each value, by the value's name in the help text."""


def completion(parser: ArgumentParser, shell: str) -> str:
    """Return the completion script for `bash` or `zsh`."""
    for name, verb in _parsers_of(parser):
        # zsh shows one line of description next to each verb.
        verb.description = next(one.summary for one in VERBS if one.name == name)
        for action in verb._actions:  # noqa: SLF001 - argparse has no other list of them
            if isinstance(action.metavar, str) and action.metavar in _COMPLETED:
                # shtab reads this attribute.
                setattr(action, "complete", _COMPLETED[action.metavar])  # noqa: B010
    return shtab.complete(parser, shell, preamble=_PREAMBLES[shell])


def _parsers_of(parser: ArgumentParser) -> Iterator[tuple[str, ArgumentParser]]:
    """Yield the name and the parser of each verb."""
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, _SubParsersAction):
            yield from action.choices.items()
