"""Addresses of the review pages."""

from django.urls import URLPattern, path

app_name = "review"
urlpatterns: list[URLPattern] = []
