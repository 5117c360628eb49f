"""Addresses of the review pages."""

from django.urls import URLPattern, path

from review.views import queue, rating

app_name = "review"
urlpatterns: list[URLPattern] = [
    path("review/", queue.queue, name="queue"),
    path("review/<uuid:uid>/", rating.rate, name="rate"),
    path("review/<uuid:uid>/answer/", rating.answer, name="answer"),
    path("review/<uuid:uid>/comment/", rating.comment, name="comment"),
    path("review/<uuid:uid>/flags/", rating.flag, name="flag"),
    path(
        "review/<uuid:uid>/flags/<uuid:flag_uid>/withdraw/",
        rating.withdraw_flag,
        name="withdraw_flag",
    ),
    path("review/<uuid:uid>/leave/", rating.leave, name="leave"),
    path("review/<uuid:uid>/reopen/", rating.reopen, name="reopen"),
    path("review/<uuid:uid>/previous/", rating.previous, name="previous"),
]
