"""All addresses. Everything asks for login; tests/site/test_access.py lists the exceptions."""

from django.conf import settings
from django.urls import include, path

from sqpsych_site import language, people_views, views

urlpatterns = [
    path("", views.home, name="home"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("theme/", views.theme, name="theme"),
    path("language/", language.language, name="language"),
    path("favicon.ico", views.favicon, name="favicon"),
    path("people/", people_views.person_list, name="people"),
    path("people/<int:user_id>/", people_views.person_detail, name="person"),
    path("people/<int:user_id>/role/", people_views.person_role, name="person_role"),
    path("people/<int:user_id>/active/", people_views.person_active, name="person_active"),
    path("people/<int:user_id>/password/", people_views.person_password, name="person_password"),
    path("accounts/", include("allauth.account.urls")),
    path("accounts/2fa/", include("allauth.mfa.urls")),
    path("", include("generation.urls")),
    path("", include("review.urls")),
]
if settings.DEBUG:
    urlpatterns.append(path("styleguide/", views.styleguide, name="styleguide"))
