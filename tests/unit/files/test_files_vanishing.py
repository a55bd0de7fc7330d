"""Entries that are hidden for a while."""

from rcfs.files._vanishing import COMES_BACK_S, Vanishing


def test_the_edition_rises_whenever_other_entries_are_hidden() -> None:
    vanishing = Vanishing[str]()
    editions = [vanishing.edition]
    for change in (
        lambda: vanishing.hide("a", "text.txt", 0.0),
        lambda: vanishing.hide("a", "photo.jpg", 0.0),
        lambda: vanishing.drop("a"),
        lambda: vanishing.hide("a", "text.txt", 0.0),
        lambda: vanishing.overdue(COMES_BACK_S),
    ):
        change()
        editions.append(vanishing.edition)
    assert editions == sorted(set(editions))
    assert not vanishing.names("a")
