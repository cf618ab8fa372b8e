from django.urls import path

from billing import api, views

urlpatterns = [
    path("console/transactions", views.transactions, name="transactions"),
    path("help/billing", views.help_billing, name="help-billing"),
    path("v1/credits", api.CreditsView.as_view(), name="api-credits"),
    path("v1/transactions", api.TransactionsView.as_view(), name="api-transactions"),
]
