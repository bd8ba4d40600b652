"""The fast rows of the table of faults; `scripts/faults` injects all of them."""

import pytest

from tests.faults import every
from tests.faults.__main__ import look_at
from tests.faults.place import Place, ShortfallError, must
from tests.faults.table import Fault, NotHereError, inject

FAST = [one for one in every.FAULTS if one.is_fast]


@pytest.mark.parametrize("one", FAST, ids=lambda one: f"{one.group}: {one.name}")
def test_what_must_happen_does(one: Fault) -> None:
    try:
        assert inject(one, seed=1)
    except NotHereError as error:
        pytest.skip(str(error))


def test_the_table_has_at_least_sixty_faults_each_with_a_name_of_its_own() -> None:
    names = [(one.group, one.name) for one in every.FAULTS]
    assert len(names) >= 60
    assert len(set(names)) == len(names)


def test_a_fault_that_falls_short_is_found() -> None:
    def falls_short(_: Place) -> str:
        must(False, "it did not")
        return "never"

    assert look_at(Fault("x", "y", "z", falls_short, is_fast=True), 1).word == "SHORT"


def test_a_process_or_a_file_that_is_left_behind_is_found() -> None:
    def leaves_a_file(place: Place) -> str:
        (place.temporary / "left").touch()
        return "done"

    left = look_at(Fault("x", "a file", "z", leaves_a_file, is_fast=True), 1)
    assert (left.word, "left in the temporary folder" in left.happened) == ("SHORT", True)
    with Place(1) as place:
        place.start("crawl", "protocol", "-n", 10_000, "-c", 1)
        with pytest.raises(ShortfallError, match="left running"):
            place.must_leave_nothing(within_s=0.0)
