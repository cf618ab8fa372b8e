"""Routes: each face brings its own."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("", include("console.urls")),  # its page of sessions stands before allauth's
    path("accounts/", include("allauth.urls")),
    path("", include("api.urls")),
]
