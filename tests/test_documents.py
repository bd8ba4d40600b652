"""Links in the documents lead somewhere, their commands are accepted, and nothing is left out."""

import ast
import re
import runpy
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from markdown_it import MarkdownIt  # what rich depends on
from markdown_it.token import Token

from bench.cli.parser import parse
from bench.documents import document

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md")]
)
GLOSSARY = ROOT / "docs" / "glossary.md"
TERMS = (
    *("Slot", "Cell", "Trial", "Run", "Plan", "Entrant", "Fetch", "Arrival", "Ledger"),
    *("Reconciliation", "Makespan", "Ideal makespan", "Efficiency", "Knee", "Capped", "Plateau"),
    *("Closed loop", "Service time", "Asked concurrency", "Achieved concurrency", "Verdict"),
    *("VALID", "UNCHECKED", "SUSPECT", "INVALID", "Floor crawler", "Ceiling"),
)


def tokens_of(page: Path) -> Iterator[Token]:
    for token in MarkdownIt().enable("table").parse(page.read_text()):
        yield token
        yield from token.children or ()


def links_of(page: Path) -> Iterator[str]:
    for token in tokens_of(page):
        link = token.attrs.get("href") or token.attrs.get("src")
        if link:
            yield str(link)


def headings_of(page: Path) -> list[str]:
    tokens = list(MarkdownIt().parse(page.read_text()))
    return [
        "".join(child.content for child in tokens[at + 1].children or ())
        for at, token in enumerate(tokens)
        if token.type == "heading_open"
    ]


@cache
def anchors_of(page: Path) -> set[str]:
    """Of each heading, as GitHub makes them."""
    anchors: set[str] = set()
    for heading in headings_of(page):
        plain = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        anchor, count = plain, 0
        while anchor in anchors:
            count += 1
            anchor = f"{plain}-{count}"
        anchors.add(anchor)
    return anchors


def dead_links_of(page: Path) -> list[str]:
    """Relative links of a page that lead to no file, or to no heading of it."""
    dead = []
    for link in links_of(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            dead.append(link)
    return dead


def commands_of(page: Path) -> Iterator[list[str]]:
    """The words of each command for ./benchmark.sh, in blocks of code and between backticks."""
    for token in tokens_of(page):
        if token.type not in ("code_block", "fence", "code_inline"):
            continue
        for line in token.content.replace("\\\n", "").splitlines():
            if line.startswith("./benchmark.sh"):
                words = shlex.split(line, comments=True)[1:]
                if not {"VERB", "--help"} & set(words):
                    yield words


def test_every_link_leads_somewhere() -> None:
    assert {page.name: dead_links_of(page) for page in PAGES} == {page.name: [] for page in PAGES}


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One `two`: three\n\n## Twice\n\n## Twice\n")
    page = tmp_path / "page.md"
    good = "[a](other.md#one-two-three) [b](other.md#twice-1) [c](#here) [d](https://example.org/)"
    page.write_text(
        f"# Here\n\n{good}\n\n| a |\n|---|\n| [e](other.md#four) |\n\n"
        "![f](none.png) [g](#there)\n\n    [h](code.md)\n"
    )
    assert dead_links_of(page) == ["other.md#four", "none.png", "#there"]


PACKAGES = ("server", "crawlers", "bench", "plots")


def test_pages_that_the_code_names_exist() -> None:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.*"):
            if path.suffix in (".py", ".html"):
                for name in re.findall(r"(?:docs/|document\([\"'])([\w-]+\.md)", path.read_text()):
                    assert (ROOT / "docs" / name).exists(), f"{path} names {name}"


def documents_in_messages(source: str) -> list[str]:
    """Texts with the path of a document that only a checkout has, and that are no docstrings."""
    tree = ast.parse(source)
    docstrings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node not in docstrings
        if isinstance(node.value, str) and re.search(r"docs/[\w-]+\.md", node.value)
    ]


def test_messages_name_documents_by_the_path_that_they_have() -> None:
    assert documents_in_messages("'docs/a.md'; x = f'{1} docs/b.md'") == [" docs/b.md"]
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            found = documents_in_messages(path.read_text())
            assert not found, f"{path}: use bench.documents.document: {found}"


def test_a_document_is_named_so_that_it_can_be_opened_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert document("usage.md") == "docs/usage.md"
    for folder in (ROOT / "docs", tmp_path):
        monkeypatch.chdir(folder)
        assert (folder / document("usage.md")).samefile(ROOT / "docs" / "usage.md")


def test_the_documents_of_a_wheel_have_no_dead_link(tmp_path: Path) -> None:
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]
    for source, place in hatch["build"]["targets"]["wheel"]["force-include"].items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        copy(ROOT / source, tmp_path / place)
    pages = sorted((tmp_path / "bench" / "manual").rglob("*.md"))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} < {page.name for page in pages}
    assert {page.name: dead_links_of(page) for page in pages} == {page.name: [] for page in pages}
    installed = shutil.copy(ROOT / "bench" / "documents.py", tmp_path / "bench")
    named = runpy.run_path(str(installed))["document"]("usage.md")
    assert named == str(tmp_path / "bench" / "manual" / "docs" / "usage.md")


def test_the_readme_is_a_front_page_that_leads_to_all_others() -> None:
    readme = ROOT / "README.md"
    assert len(readme.read_text().splitlines()) <= 180
    assert {page.name for page in ROOT.glob("docs/*.md")} <= {
        Path(link.partition("#")[0]).name for link in links_of(readme)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_accepted(page: Path) -> None:
    for words in commands_of(page):
        try:
            parse(words)
        except SystemExit as ended:
            if ended.code:
                pytest.fail(f"not accepted: ./benchmark.sh {shlex.join(words)}")


def test_commands_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "See `./benchmark.sh list` and `report`.\n\n"
        "    ./benchmark.sh run \\\n        --trials 3   # three\n    echo\n\n"
        "| `./benchmark.sh VERB --help` |\n"
    )
    assert list(commands_of(page)) == [["list"], ["run", "--trials", "3"]]


def help_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        parse([*words, "--help"])
    return capsys.readouterr().out


def test_every_verb_and_option_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    usage, primes = ((ROOT / "docs" / name).read_text() for name in ("usage.md", "primes.md"))
    verbs = re.findall(r"^    ([a-z]+)", help_of([], capsys), re.MULTILINE)
    assert {"run", "crawl", "primes", "list"} <= set(verbs)
    for verb in verbs:
        assert re.search(rf"^\| `{verb}\b", usage, re.MULTILINE), verb
        described = usage + primes if verb == "primes" else usage
        for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", help_of([verb], capsys))):
            is_described = option == "--help" or re.search(rf"`{option}\b(?!-)", described)
            assert is_described, f"{verb} {option}"


def test_the_glossary_has_every_term_in_alphabetical_order() -> None:
    title, *terms = headings_of(GLOSSARY)
    assert title == "Glossary"
    assert terms == sorted(terms, key=str.casefold)
    assert set(TERMS) <= set(terms)
    assert len(set(map(str.casefold, terms))) == len(terms)
