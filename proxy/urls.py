from django.urls import path

from proxy import views

urlpatterns = [
    path("favicon.ico", views.favicon),
    path("", views.landing, name="landing"),
    path("models", views.models, name="models"),
    path("console", views.console_without_slash),
    path("console/", views.console, name="console"),
    path("console/usage", views.usage_list, name="usage"),
    path("console/usage/<str:generation_id>", views.receipt, name="receipt"),
]
