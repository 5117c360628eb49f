from django.apps import AppConfig


class SiteConfig(AppConfig):
    """Users and roles, audit, health, and the local services."""

    name = "sqpsych_site"
    verbose_name = "SQPsych"
