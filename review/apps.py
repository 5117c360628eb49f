from django.apps import AppConfig


class ReviewConfig(AppConfig):
    """Studies -> ratings -> agreement and exports."""

    name = "review"
