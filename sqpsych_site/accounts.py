"""Accounts are made by an administrator: nobody signs up."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from django.http import HttpRequest

from sqpsych_site.models import User
from sqpsych_site.statements import fetch


class ClosedSignup(DefaultAccountAdapter):
    """allauth's rules, without self-registration."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002  # allauth's form
        return False

    def add_message(
        self, request: HttpRequest, level: int, message_template: str = "", *rest: Any, **more: Any
    ) -> None:
        """Say what changed, but not 'signed in': it covers work and says nothing new."""
        if not message_template.endswith(("logged_in.txt", "logged_out.txt")):
            super().add_message(request, level, message_template, *rest, **more)


class Accounts(AuthenticationBackend):
    """allauth's sign-in; the person behind each request is read by a prepared statement."""

    def get_user(self, user_id: int) -> User | None:
        """The active person with this number."""
        columns = [field.column for field in User._meta.concrete_fields]
        names = [field.attname for field in User._meta.concrete_fields]
        listed = ", ".join(f'"{column}"' for column in columns)
        for row in fetch(f"SELECT {listed} FROM {User._meta.db_table} WHERE id = %s", [user_id]):  # noqa: S608 - names of our own model
            user = User.from_db("default", names, row)
            return user if self.user_can_authenticate(user) else None
        return None
