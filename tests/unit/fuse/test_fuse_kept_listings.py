"""When the kernel may keep a listing, and when it must drop it."""

from rcfs.fuse._listings import KeptListings

DIRECTORY = 7


def test_the_kernel_keeps_a_listing_until_the_directory_changes() -> None:
    listings = KeptListings()
    assert listings.opened(DIRECTORY, 1, "a") is False, "the kernel may have anything"
    assert listings.opened(DIRECTORY, 2, "a") is True, "also while the first one lists it"
    for number in (1, 2):
        listings.closed(DIRECTORY, number)
    assert listings.opened(DIRECTORY, 3, "b") is False
    listings.closed(DIRECTORY, 3)
    assert listings.opened(DIRECTORY, 4, "b") is True
    listings.closed(DIRECTORY, 4)
    assert listings.opened(DIRECTORY, 5, "a") is False, "an edition that comes again is another one"


def test_nothing_is_kept_while_an_older_edition_is_being_listed() -> None:
    listings = KeptListings()
    assert listings.opened(DIRECTORY, 1, "a") is False
    assert listings.opened(DIRECTORY, 2, "b") is None, "the entries of 1 would come among those of 2"
    listings.closed(DIRECTORY, 2)
    assert listings.opened(DIRECTORY, 3, "b") is None
    listings.closed(DIRECTORY, 1)
    assert listings.opened(DIRECTORY, 4, "b") is False, "what 1 has left there is dropped"


def test_a_directory_that_was_listed_empty_is_never_kept_again() -> None:
    listings = KeptListings()
    assert listings.opened(DIRECTORY, 1, "a") is False
    listings.found_empty(DIRECTORY, 1)
    listings.closed(DIRECTORY, 1)
    assert listings.opened(DIRECTORY, 2, "a") is None
    assert listings.opened(DIRECTORY, 3, "b") is None
    listings.forget(DIRECTORY)
    assert listings.opened(DIRECTORY, 4, "b") is False, (
        "the kernel has forgotten the directory, and all of it"
    )


def test_a_listing_that_the_kernel_does_not_keep_may_be_empty() -> None:
    listings = KeptListings()
    assert listings.opened(DIRECTORY, 1, "a") is False
    assert listings.opened(DIRECTORY, 2, "b") is None
    listings.found_empty(DIRECTORY, 2)
    listings.closed(DIRECTORY, 1)
    assert listings.opened(DIRECTORY, 3, "b") is False
