"""Writes of the generation side: one keyword-only function each, ``by=`` the acting person."""

from generation.actions.endpoints import set_endpoint_state

__all__ = ["set_endpoint_state"]
