"""Files that wait for their columns to be mapped: kept for an hour, for one person."""

from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from generation.actions.errors import Refused
from generation.models import Upload, UploadPurpose
from sqpsych_site.models import User

KEPT_FOR = timedelta(hours=1)
MAX_WAITING = 5


@transaction.atomic
def store_upload(
    *, purpose: UploadPurpose, name: str, filename: str, content: bytes, by: User
) -> Upload:
    """Keep a file for an hour. Raises Refused when the person has too many waiting."""
    purge_uploads()
    if Upload.objects.filter(owner=by).count() >= MAX_WAITING:
        raise Refused(
            f"{MAX_WAITING} of your files wait for their columns already; finish or discard one."
        )
    return Upload.objects.create(
        purpose=purpose,
        name=name.strip()[:120],
        filename=filename.replace("\\", "/").rsplit("/", 1)[-1][:200],
        content=content,
        owner=by,
        expires_at=timezone.now() + KEPT_FOR,
    )


def waiting_upload(*, uid: UUID, purpose: UploadPurpose, by: User) -> Upload | None:
    """The person's own file while it is kept."""
    kept = Upload.objects.filter(owner=by, purpose=purpose, expires_at__gt=timezone.now())
    return kept.filter(uid=uid).first()


@transaction.atomic
def discard_upload(*, upload: Upload) -> None:
    """Forget a file at once."""
    Upload.objects.filter(pk=upload.pk).delete()


def purge_uploads() -> int:
    """Forget all files whose hour is over. Returns how many."""
    return Upload.objects.filter(expires_at__lte=timezone.now()).delete()[0]
