"""Addresses of the review pages."""

from django.urls import URLPattern, path, register_converter

from review.views import (
    adjudication,
    calibration,
    comparison_studies,
    comparisons,
    instruments,
    quality,
    queue,
    rating,
    reading,
    results,
    saving,
    studies,
    study_calibration,
    study_exports,
    study_people,
    study_setup,
)

app_name = "review"


class StudyChange:
    """What can be done with a study, as a word of the address."""

    regex = "run|pause|resume|close|reopen|archive|restore"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(StudyChange, "study_change")
urlpatterns: list[URLPattern] = [
    path("review/", queue.queue, name="queue"),
    path("review/reading/", reading.reading, name="reading"),
    path("review/practice/<int:study_id>/", queue.practise, name="practise"),
    path("review/<uuid:uid>/", rating.rate, name="rate"),
    path("review/<uuid:uid>/save/", saving.save, name="save"),
    path("review/<uuid:uid>/state/", saving.state, name="state"),
    path("review/<uuid:uid>/next/", saving.next_up, name="next"),
    path("review/<uuid:uid>/opened/", saving.opened, name="opened"),
    path("review/<uuid:uid>/flags/", rating.flag, name="flag"),
    path(
        "review/<uuid:uid>/flags/<uuid:flag_uid>/withdraw/",
        rating.withdraw_flag,
        name="withdraw_flag",
    ),
    path("review/<uuid:uid>/leave/", rating.leave, name="leave"),
    path("review/<uuid:uid>/reopen/", rating.reopen, name="reopen"),
    path("review/<uuid:uid>/previous/", rating.previous, name="previous"),
    path("review/<uuid:uid>/feedback/", calibration.feedback, name="feedback"),
    path("review/compare/<uuid:uid>/", comparisons.compare, name="compare"),
    path(
        "review/compare/<uuid:uid>/reopen/", comparisons.reopen_comparison, name="reopen_comparison"
    ),
    path("review/compare/<uuid:uid>/leave/", comparisons.leave_comparison, name="leave_comparison"),
    path("studies/new/pairwise/", comparison_studies.comparison_create, name="comparison_create"),
    path(
        "studies/<int:study_id>/comparisons/",
        comparison_studies.comparison_results,
        name="comparison_results",
    ),
    path(
        "studies/<int:study_id>/comparisons/<slug:name>.<slug:kind>",
        comparison_studies.comparison_file,
        name="comparison_file",
    ),
    path("instruments/", instruments.instrument_list, name="instrument_list"),
    path(
        "instruments/<int:instrument_id>/", instruments.instrument_detail, name="instrument_detail"
    ),
    path(
        "instruments/<int:instrument_id>/file.toml",
        instruments.instrument_file,
        name="instrument_file",
    ),
    path(
        "instruments/templates/<slug:name>.toml",
        instruments.instrument_template,
        name="instrument_template",
    ),
    path("studies/", studies.study_list, name="study_list"),
    path("studies/new/", study_setup.study_create, name="study_create"),
    path("studies/<int:study_id>/edit/", study_setup.study_edit, name="study_edit"),
    path("studies/<int:study_id>/design/", study_setup.study_design, name="study_design"),
    path("studies/<int:study_id>/begin/", study_setup.study_begin, name="study_begin"),
    path("studies/<int:study_id>/duplicate/", study_setup.study_duplicate, name="study_duplicate"),
    path("studies/<int:study_id>/discard/", study_setup.study_discard, name="study_discard"),
    path("studies/<int:study_id>/raters/", study_people.study_raters, name="study_raters"),
    path("studies/<int:study_id>/dialogues/", study_people.study_dialogues, name="study_dialogues"),
    path(
        "studies/<int:study_id>/calibration/",
        study_calibration.study_calibration,
        name="study_calibration",
    ),
    path(
        "studies/<int:study_id>/calibration/references.csv",
        study_calibration.reference_file,
        name="reference_file",
    ),
    path(
        "studies/<int:study_id>/calibration/<slug:code>/",
        study_calibration.study_reference,
        name="study_reference",
    ),
    path("studies/<int:study_id>/", studies.study_detail, name="study_detail"),
    path("studies/<int:study_id>/exports/", study_exports.study_exports, name="study_exports"),
    path("studies/<int:study_id>/export/", study_exports.study_zip, name="study_export"),
    path(
        "studies/<int:study_id>/export/blinding_key.csv", study_exports.study_key, name="study_key"
    ),
    path(
        "studies/<int:study_id>/export/<slug:name>.<slug:kind>",
        study_exports.study_file,
        name="study_file",
    ),
    path("adjudication/", adjudication.adjudications, name="adjudications"),
    path(
        "adjudication/<int:study_id>/", adjudication.adjudication_queue, name="adjudication_queue"
    ),
    path("adjudication/<int:study_id>/<slug:code>/", adjudication.adjudicate, name="adjudicate"),
    path(
        "studies/<int:study_id>/adjudication/",
        adjudication.adjudication_plan,
        name="adjudication_plan",
    ),
    path("studies/<int:study_id>/quality/", quality.quality, name="quality"),
    path(
        "studies/<int:study_id>/quality/<slug:name>.<slug:kind>",
        quality.quality_file,
        name="quality_file",
    ),
    path("studies/<int:study_id>/results/", results.results, name="results"),
    path("studies/<int:study_id>/results/scores/", results.scores, name="scores"),
    path("studies/<int:study_id>/results/raters/", results.result_raters, name="result_raters"),
    path("studies/<int:study_id>/results/now/", results.results_now, name="results_now"),
    path(
        "studies/<int:study_id>/results/<slug:kind>/<slug:instrument>/<slug:key>/",
        results.measure,
        name="measure",
    ),
    path(
        "studies/<int:study_id>/figures/<slug:name>.<slug:kind>",
        results.figure_file,
        name="figure_file",
    ),
    path("studies/<int:study_id>/flags/<uuid:flag_uid>/seen/", studies.flag_seen, name="flag_seen"),
    path(
        "studies/<int:study_id>/<study_change:change>/", studies.study_change, name="study_change"
    ),
]
