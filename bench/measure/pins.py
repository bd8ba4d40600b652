"""Which versions of which libraries another interpreter needs: those that are installed here."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, requires

from crawlers.registry import CrawlerInfo

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")


@dataclass(frozen=True, slots=True)
class Pins:
    """What is to be installed for some crawlers, and in which versions."""

    wanted: tuple[str, ...]
    """The libraries, as in `twisted[tls]==26.10.0`."""
    versions: tuple[tuple[str, str], ...]
    """Names and versions of these, and of all that they need."""

    @property
    def constraints(self) -> str:
        """The versions, as a file of constraints has them."""
        return "".join(f"{name}=={version}\n" for name, version in self.versions)


def pins_for(infos: Sequence[CrawlerInfo], loops: Sequence[str] = ()) -> Pins:
    """Return the pins for crawlers, and for event loops that are distributions.

    Raises PackageNotFoundError if one of them is not installed here.
    """
    extras = {library: _extras_of(info, library) for info in infos for library in info.libraries}
    extras |= dict.fromkeys(loops, ())
    found: dict[str, str] = {}
    for library, names in extras.items():
        _add(library, names, found)
    wanted = [
        f"{name}[{','.join(names)}]=={found[_normal(name)]}"
        if names
        else f"{name}=={found[_normal(name)]}"
        for name, names in sorted(extras.items())
    ]
    return Pins(tuple(wanted), tuple(sorted(found.items())))


def needs(info: CrawlerInfo, library: str) -> bool:
    """Whether a crawler needs a library, by its normalised name, whether directly or not."""
    return library in dict(pins_for([info]).versions)


def _extras_of(info: CrawlerInfo, library: str) -> tuple[str, ...]:
    """Return the extras of a library that our own extra for the crawler asks for."""
    try:
        declared = requires("crawlbench") or []
    except PackageNotFoundError:
        return ()
    for one in declared:
        found, extra = _REQUIREMENT.match(one), _EXTRA.search(one)
        is_ours = extra is not None and extra[1] == info.extra
        if found and is_ours and _normal(found[1]) == _normal(library):
            return tuple(part.strip() for part in (found[2] or "").split(",") if part.strip())
    return ()


def _add(library: str, extras: Sequence[str], found: dict[str, str]) -> None:
    """Add a library and all that it needs, as far as it is installed here.

    Conditions other than extras are left to the installer, which knows the other interpreter.
    """
    here = distribution(library)
    name = _normal(library)
    is_new = name not in found
    if not is_new and not extras:
        return
    found[name] = here.version
    for one in here.requires or ():
        needed, extra = _REQUIREMENT.match(one), _EXTRA.search(one)
        if needed is None or (extra is None and not is_new):
            continue
        if extra is not None and extra[1] not in extras:
            continue
        further = [part.strip() for part in (needed[2] or "").split(",") if part.strip()]
        try:
            _add(needed[1], further, found)
        except PackageNotFoundError:
            continue  # for another system or version of Python


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
