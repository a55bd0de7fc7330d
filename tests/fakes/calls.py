"""Calls as the tree would shelve them, made in a few words."""

from rcfs.model import COMPANY, FolderNames, Place, ShelvedCall, ShelvedRecording

CONTACT = "+12125557464"


def name_by_key(place: Place, _parties: object, _owners: object) -> FolderNames:
    """Names each folder after its key."""
    return FolderNames(place.key, place.key, place.key)


def contact(key: str = CONTACT) -> Place:
    """The folder of a contact."""
    return Place("By-Contact", key, ((key, ""),))


def shelved_recording(
    recording_id: str,
    owner: int = 101,
    month: str = "2026-11",
    *,
    started_s: float | None = 1.0,
    links: tuple[Place, ...] = (),
) -> ShelvedRecording:
    """A recording of half a minute."""
    uri = f"https://media.example.com/recording/{recording_id}/content"
    return ShelvedRecording(
        recording_id, owner, month, f"call [{recording_id}].mp3", started_s, 30, uri, links
    )


def shelved_call(
    call_id: str,
    *recordings: ShelvedRecording,
    month: str = "2026-11",
    started_s: float | None = 1.0,
    modified_s: float | None = 1.0,
    extension_ids: tuple[int, ...] = (101,),
    text: str = "",
    people: str = "Bob Ray +12125557464",
    message: tuple[int, int] | None = None,
) -> ShelvedCall:
    """A call; `text` stands in its line and in its record."""
    return ShelvedCall(
        id=call_id,
        month=month,
        started_s=started_s,
        modified_s=modified_s,
        extension_ids=extension_ids,
        line=f"{call_id},{text}\n",
        raw=f'{{"id":"{call_id}","text":"{text}"}}',
        name=f"call [{call_id}]",
        recordings=recordings,
        people=people,
        message=message,
    )


OWNERS = (COMPANY, 101, 102)
MONTHS = ("2026-10", "2026-11")
