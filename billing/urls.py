from django.urls import path

from billing import views

urlpatterns = [
    path("console/transactions", views.transactions, name="transactions"),
    path("help/billing", views.help_billing, name="help-billing"),
]
