"""The numbers of a site's resources: one for each, whatever the spelling of its URL. Pure."""

from enum import IntEnum
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SHIFT = 40
MOST_INDEX = (1 << _SHIFT) - 1
"""The largest index of a resource among those of its kind."""

NO_RESOURCE = -1
"""The number of a request for nothing that the site has."""


class Kind(IntEnum):
    """What a resource is. A resource number is `kind << 40 | index`."""

    PAGE = 0
    """index: of the page; 0 is the home page. The number of a page is thus its index."""
    ROBOTS = 1
    """index: of the host that the robots.txt is for."""
    SITEMAP = 2
    """index: of the part, from 0."""
    REDIRECT = 3
    """index: page * 4 + hop, for the hops 0 to 2 at most of the chain to that page."""
    LOOP = 4
    """index: loop * 4 + hop, for the hops 0 to 3 at most; the last one leads to the first."""
    CALENDAR = 5
    """index: of the month, from 0, without an end."""
    BINARY = 6
    """index: the page that would be there if it was not a file: no page has this number."""
    OFF_SITE = 7
    """index: the page that links there. It is on an address that is not of the site."""


def number_of(kind: Kind, index: int) -> int:
    """Return the number of a resource."""
    return kind << _SHIFT | index


@overload
def kind_of(number: int) -> int: ...
@overload
def kind_of(number: "NDArray[np.int64]") -> "NDArray[np.int64]": ...
def kind_of(number: "int | NDArray[np.int64]") -> "int | NDArray[np.int64]":
    """Return the kind of a resource, or of each in an array; NO_RESOURCE for NO_RESOURCE."""
    return number >> _SHIFT


@overload
def index_of(number: int) -> int: ...
@overload
def index_of(number: "NDArray[np.int64]") -> "NDArray[np.int64]": ...
def index_of(number: "int | NDArray[np.int64]") -> "int | NDArray[np.int64]":
    """Return the index of a resource among those of its kind, or of each in an array."""
    return number & MOST_INDEX
