"""Accounts are made by an administrator: nobody signs up."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


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
