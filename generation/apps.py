from django.apps import AppConfig


class GenerationConfig(AppConfig):
    """Profiles -> batches -> dialogues."""

    name = "generation"
