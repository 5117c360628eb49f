"""Accounts: made by an administrator or a command, with a password that is shown once."""

import secrets

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from sqpsych_site import audit
from sqpsych_site.models import User
from sqpsych_site.roles import Role

# Without signs that look alike: 31 of them, so 20 give about 99 bits.
_SIGNS = "abcdefghjkmnpqrstuvwxyz23456789"
_GROUPS, _GROUP = 5, 4


class AccountRefused(Exception):
    """Nothing was changed; the message is one sentence for the person who asked."""


def random_password() -> str:
    """Twenty random signs in groups of four, e.g. ``k7mp-3xqd-...``: easy to read out."""
    groups = ("".join(secrets.choice(_SIGNS) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


@transaction.atomic
def create_account(*, username: str, role: str, by: User | None) -> tuple[User, str]:
    """Make an account; returns it with its password, which is stored nowhere but as a hash.

    Raises AccountRefused for an unknown role or a name that is taken or cannot be one.
    """
    if role not in Role.values:
        raise AccountRefused(f"There is no role “{role}”; the roles are: {', '.join(Role.values)}.")
    name = username.strip()
    user = User(username=name, role=role)
    password = random_password()
    user.set_password(password)
    try:
        user.clean_fields(exclude=["password"])
    except ValidationError as error:
        raise AccountRefused(_sentence(error)) from None
    # Names that differ by case alone would be taken for one another.
    if User.objects.filter(username__iexact=name).exists():
        raise _taken(name)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:
        raise _taken(name) from None
    audit.record(by=by, action="account.create", target=name, role=role)
    return user, password


@transaction.atomic
def set_role(*, user: User, role: str, by: User) -> None:
    """Give an account another role. The last administrator, and oneself, keep theirs."""
    if role not in Role.values:
        raise AccountRefused(f"There is no role “{role}”.")
    if user.pk == by.pk:
        raise AccountRefused("You cannot change your own role; another administrator can.")
    _keep_one_administrator(user, still=role == Role.ADMINISTRATOR)
    _change(user, role=role)


@transaction.atomic
def set_active(*, user: User, active: bool, by: User) -> None:
    """Switch an account off (its sessions end at once) or on again."""
    if user.pk == by.pk:
        raise AccountRefused("You cannot switch off your own account.")
    _keep_one_administrator(user, still=active and user.role == Role.ADMINISTRATOR)
    _change(user, is_active=active)


@transaction.atomic
def new_password(*, user: User, by: User | None) -> str:
    """Give an account a new random password, which ends its sessions, and return it."""
    password = random_password()
    user.set_password(password)
    user.save(update_fields=["password"])
    audit.record(by=by, action="account.password", target=user.username)
    return password


def _change(user: User, **values: object) -> None:
    for field, value in values.items():
        setattr(user, field, value)
    user.save(update_fields=list(values))


def _keep_one_administrator(user: User, *, still: bool) -> None:
    """Refuse when nobody would be left who can make accounts."""
    administrators = User.objects.select_for_update().filter(
        role=Role.ADMINISTRATOR, is_active=True
    )
    left = {row.pk for row in administrators.order_by("pk")} - ({user.pk} if not still else set())
    if not left:
        raise AccountRefused("This is the last administrator; make another one first.")


def _taken(name: str) -> AccountRefused:
    return AccountRefused(f"There is an account “{name}” already; choose another name.")


def _sentence(error: ValidationError) -> str:
    words = " ".join(error.messages[0].split()).rstrip(".")
    return f"The account was not made: {words[:1].lower()}{words[1:]}."
