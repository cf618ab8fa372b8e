from django.urls import path

from accounts import views

urlpatterns = [
    path("language", views.set_language, name="set_language"),
    path("console/keys", views.key_list, name="keys"),
    path("console/keys/<int:key_id>/switch", views.key_switch, name="key-switch"),
    path("console/keys/<int:key_id>/delete", views.key_delete, name="key-delete"),
]
