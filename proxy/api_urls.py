from django.urls import path

from proxy import api, usage_api

urlpatterns = [
    path("v1/models", api.ModelsView.as_view(), name="api-models"),
    path("v1/models/<path:model_id>", api.ModelView.as_view(), name="api-model"),
    path("v1/generation", api.GenerationView.as_view(), name="api-generation"),
    path("v1/usage", usage_api.UsageView.as_view(), name="api-usage"),
    path("v1/key/info", api.KeyInfoView.as_view(), name="api-key-info"),
]
