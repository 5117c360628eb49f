"""Addresses of the generation pages."""

from django.urls import URLPattern, path

app_name = "generation"
urlpatterns: list[URLPattern] = []
