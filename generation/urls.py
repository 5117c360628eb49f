"""Addresses of the generation pages."""

from django.urls import URLPattern, path, register_converter

from generation.views import (
    batch_design,
    batches,
    corpus,
    corpus_import,
    dialogues,
    endpoints,
    profile_mapping,
    profiles,
    protocols,
    questionnaires,
)

app_name = "generation"


class _OneOf:
    """A word of the address out of a few."""

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class BatchVerb(_OneOf):
    """What can be done with a batch."""

    regex = "pause|resume|cancel|retry|extend"


class Switch(_OneOf):
    """On or off."""

    regex = "enable|disable"


register_converter(BatchVerb, "batch_verb")
register_converter(Switch, "switch")

urlpatterns: list[URLPattern] = [
    path("profiles/", profiles.profile_list, name="profile_list"),
    path("profiles/import/", profiles.profile_import, name="profile_import"),
    path("profiles/import/example.csv", profiles.profile_example, name="profile_example"),
    path("profiles/import/<uuid:uid>/", profile_mapping.profile_mapping, name="profile_mapping"),
    path(
        "profiles/import/<uuid:uid>/discard/",
        profile_mapping.profile_discard,
        name="profile_discard",
    ),
    path("profiles/sample/", profiles.profile_sample, name="profile_sample"),
    path("profiles/<int:set_id>/", profiles.profile_set_detail, name="profile_set_detail"),
    path("profiles/<int:set_id>/<str:profile_id>/", profiles.profile_detail, name="profile_detail"),
    path("protocols/", protocols.protocol_list, name="protocol_list"),
    path("protocols/new/", protocols.protocol_add, name="protocol_add"),
    path("protocols/<int:protocol_id>/", protocols.protocol_detail, name="protocol_detail"),
    path("protocols/<int:protocol_id>/file/", protocols.protocol_file, name="protocol_file"),
    path("questionnaires/", questionnaires.questionnaire_list, name="questionnaire_list"),
    path("questionnaires/new/", questionnaires.questionnaire_add, name="questionnaire_add"),
    path(
        "questionnaires/<int:questionnaire_id>/",
        questionnaires.questionnaire_detail,
        name="questionnaire_detail",
    ),
    path(
        "questionnaires/<int:questionnaire_id>/file/",
        questionnaires.questionnaire_file,
        name="questionnaire_file",
    ),
    path("corpus/", corpus.corpus_list, name="corpus_list"),
    path("corpus/import/", corpus_import.corpus_import, name="corpus_import"),
    path("corpus/import/<uuid:uid>/", corpus_import.corpus_mapping, name="corpus_mapping"),
    path("corpus/import/<uuid:uid>/discard/", corpus_import.corpus_discard, name="corpus_discard"),
    path("corpus/<int:batch_id>/", corpus.corpus_detail, name="corpus_detail"),
    path("corpus/<int:batch_id>/<str:file_format>/", corpus.corpus_file, name="corpus_file"),
    path("batches/", batches.batch_list, name="batch_list"),
    path("batches/new/", batch_design.batch_create, name="batch_create"),
    path("batches/<int:batch_id>/preview/", batch_design.preview_detail, name="preview_detail"),
    path("batches/<int:batch_id>/", batches.batch_detail, name="batch_detail"),
    path("batches/<int:batch_id>/log/", batches.batch_log, name="batch_log"),
    path("batches/<int:batch_id>/<batch_verb:verb>/", batches.batch_action, name="batch_action"),
    path("dialogues/", dialogues.dialogue_list, name="dialogue_list"),
    path("dialogues/<uuid:uid>/", dialogues.dialogue_detail, name="dialogue_detail"),
    path(
        "dialogues/<uuid:uid>/requests/<int:turn>/<int:number>/",
        dialogues.attempt_detail,
        name="attempt_detail",
    ),
    path("endpoints/", endpoints.endpoint_list, name="endpoint_list"),
    path("endpoints/<int:endpoint_id>/", endpoints.endpoint_detail, name="endpoint_detail"),
    path(
        "endpoints/<int:endpoint_id>/<switch:to>/",
        endpoints.endpoint_switch,
        name="endpoint_switch",
    ),
]
