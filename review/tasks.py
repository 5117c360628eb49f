"""Background work of the review side."""

from review.kept_figures import make_figures
from review.models import Study
from sqpsych_site.tasks import task


@task()
def make_results(study_id: int) -> None:
    """Calculate a study's figures unless they are there already."""
    study = Study.objects.filter(pk=study_id).first()
    if study is not None:
        make_figures(study)
