"""Figures of a study kept between page views, each with the state of the data it was made from."""

from django.db import models

from review.models.studies import Study


class KeptFigures(models.Model):
    """The latest figures of a study; made again whenever ``state`` is no longer the data's.

    Nothing rests on this table: it can be emptied at any time.
    """

    study = models.OneToOneField(Study, on_delete=models.CASCADE, related_name="kept_figures")
    state = models.CharField(max_length=64, help_text="hash of the data that went in")
    figures = models.JSONField()
    seconds = models.FloatField(help_text="how long it took")
    made_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"figures of study {self.study_id}"
