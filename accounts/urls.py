from django.urls import path

from accounts import api, views

urlpatterns = [
    path("language", views.set_language, name="set_language"),
    path("console/keys", views.key_list, name="keys"),
    path("console/keys/<int:key_id>/switch", views.key_switch, name="key-switch"),
    path("console/keys/<int:key_id>/delete", views.key_delete, name="key-delete"),
    path("v1/keys", api.KeysView.as_view(), name="api-keys"),
    path("v1/keys/<int:key_id>", api.KeyView.as_view(), name="api-key"),
]
