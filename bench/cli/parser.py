"""Parses the command line and reports mistakes in it."""

from argparse import (
    SUPPRESS,
    Action,
    ArgumentParser,
    Namespace,
    RawDescriptionHelpFormatter,
)
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from bench.cli.verbs import VERBS, Verb
from bench.exit_codes import MEANINGS
from bench.program import PROGRAM
from server import __version__

SHELLS = ("bash", "zsh")

_DESCRIPTION = """\
A testbed for network crawlers: how many requests per second does each
concurrency style reach, and at which concurrency? Without a verb, or with
options first, it does `run`."""

_EXAMPLES = (
    ("", "the standard sweep, tables and plots: about 3.5 minutes"),
    ("--quick", "a shorter sweep"),
    ("crawl asyncio -n 5000 -c 100", "one crawl, in detail"),
    ("report --all", "the newest results again, every cell"),
    ("VERB --help", "the options of a verb, with examples"),
)

_COMPLETION = f"""\
completion of verbs, options, crawlers and folders with the Tab key:
  bash  source <({PROGRAM} --print-completion bash)
  zsh   source <({PROGRAM} --print-completion zsh)
  Add that line to ~/.bashrc, or to ~/.zshrc after compinit, to keep it."""

_OPTIONS = ("-h", "--help", "--version", "--print-completion")
"""Options of the program itself. Any other option that comes first belongs to `run`."""


def parse(words: Sequence[str]) -> tuple[Verb, Namespace]:
    """Return the verb and its arguments. Exits with 2 after a mistake, and with 0 after help."""
    words = with_verb(words)
    name = next((word for word in words if not word.startswith("-")), None)
    verb = next((one for one in VERBS if one.name == name), None)
    parser = make_parser([verb] if verb else [])
    if verb is None and name is not None and words[0] == name:
        _refuse(parser, f"there is no verb {name!r}", name, [one.name for one in VERBS])
    arguments, unknown = parser.parse_known_args(words)
    assert verb is not None  # argparse requires one
    if unknown:
        own: ArgumentParser = arguments.parser
        option = unknown[0].partition("=")[0]
        what = "option" if option.startswith("-") else "use for the argument"
        _refuse(own, f"there is no {what} {option!r}", option, _options_of(own))
    return verb, arguments


def with_verb(words: Sequence[str]) -> list[str]:
    """Return the words with `run` in front if they do not begin with a verb."""
    is_run = not words or (words[0].startswith("-") and words[0].partition("=")[0] not in _OPTIONS)
    return ["run", *words] if is_run else list(words)


def make_parser(loaded: Sequence[Verb] = VERBS) -> ArgumentParser:
    """Return the parser of all verbs. Only those in `loaded` get their options."""
    parser = ArgumentParser(
        prog=PROGRAM,
        description=_DESCRIPTION,
        epilog="\n\n".join((_examples(_EXAMPLES), _exit_codes(), _COMPLETION)),
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"crawlbench {__version__}")
    parser.add_argument(
        "--print-completion",
        choices=SHELLS,
        action=_PrintCompletion,
        help="print a script that completes command lines, and exit",
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for verb in VERBS:
        one = verbs.add_parser(
            verb.name,
            help=verb.summary,
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        one.set_defaults(parser=one)
        if verb in loaded:
            module = verb.load()
            one.description = module.DESCRIPTION
            one.epilog = f"{_examples(module.EXAMPLES)}\n\nexit codes: see {PROGRAM} --help"
            module.add_options(one)
    return parser


class _PrintCompletion(Action):
    def __call__(self, parser: ArgumentParser, _: Namespace, values: Any, __: Any = None) -> None:
        from bench.cli.completion import completion

        print(completion(make_parser(), str(values)))
        parser.exit()


def _options_of(parser: ArgumentParser) -> list[str]:
    """Return the options of a parser that its help shows."""
    return [
        option
        for action in parser._actions  # noqa: SLF001 - argparse has no other list of them
        if action.help != SUPPRESS
        for option in action.option_strings
    ]


def _refuse(parser: ArgumentParser, mistake: str, word: str, known: Sequence[str]) -> NoReturn:
    """Print the usage and the mistake, suggest a similar word from `known`, and exit with 2."""
    near = get_close_matches(word, known, 1)
    parser.error(f"{mistake}; did you mean {near[0]!r}?" if near else mistake)


def _examples(examples: Sequence[tuple[str, str]]) -> str:
    """Return the examples as text, each with its command line and its purpose on two lines."""
    lines = [f"  {f'{PROGRAM} {words}'.strip()}\n      {purpose}" for words, purpose in examples]
    return "\n".join(("examples:", *lines))


def _exit_codes() -> str:
    return "\n".join(
        ("exit codes:", *(f"  {code:<4} {meaning}" for code, meaning in MEANINGS.items()))
    )
