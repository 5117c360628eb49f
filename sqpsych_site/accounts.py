"""Accounts are made by an administrator: nobody signs up."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class ClosedSignup(DefaultAccountAdapter):
    """allauth's rules, without self-registration."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002  # allauth's form
        return False

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """No 'successfully signed in' banners: they cover work and say nothing new."""
