"""blinding_key: what each dialogue code stands for. A file of its own, with its own permission."""

from collections.abc import Iterator

from django.db.models.functions import Length

from review.models import StudyDialogue
from review.tables.frame import DIALOGUE, OPENING, Column, Frame, Row, Table, opening

FIELDS = (
    "dialogue__origin",
    "dialogue__external_id",
    "dialogue__batch__name",
    "dialogue__batch_id",
    "dialogue__arm__label",
    "dialogue__arm__protocol__key",
    "dialogue__arm__protocol__version",
    "dialogue__arm__therapist_model",
    "dialogue__arm__client_model",
    "dialogue__replicate",
    "dialogue__profile__profile_set__name",
    "dialogue__profile__profile_id",
    "dialogue__profile__condition",
)
COLUMNS = (
    *OPENING,
    DIALOGUE,
    Column("dialogue_id", "code", "public id of the dialogue in this installation"),
    Column("origin", "code", "where it comes from", "generated; imported; demo"),
    Column("external_id", "text", "its id in the file it was imported from"),
    Column("batch", "text", "name of the batch"),
    Column("batch_id", "integer", "number of the batch", missing="empty = in no batch"),
    Column("arm", "code", "arm of the batch"),
    Column("protocol", "code", "key of the protocol"),
    Column("protocol_version", "code", "version of the protocol"),
    Column("therapist_model", "text", "model that spoke as the therapist"),
    Column("client_model", "text", "model that spoke as the client"),
    Column("replicate", "integer", "which of the dialogues of one profile and arm, from 1"),
    Column("profile_set", "text", "name of the profile set"),
    Column("profile_id", "code", "pseudonym of the client profile"),
    Column("condition", "text", "condition of the client profile"),
)


def key_table(frame: Frame) -> Table:
    """One row per dialogue of the study."""

    def rows() -> Iterator[Row]:
        for study in frame.studies:
            found = (
                StudyDialogue.objects.filter(study=study)
                .order_by(Length("code"), "code")
                .values_list("code", "dialogue__uid", *FIELDS)
            )
            for code, uid, *rest in found.iterator(chunk_size=2000):
                yield [*opening(study), code, str(uid), *rest]

    return Table("blinding_key", COLUMNS, whole=rows)
