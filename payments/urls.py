from django.urls import path

from payments import api, views

urlpatterns = [
    path("console/topup", views.topup_new, name="topup"),
    path("console/topup/<slug:number>", views.topup_show, name="topup-show"),
    path("console/topup/<slug:number>/state", views.topup_state, name="topup-state"),
    path("payments/stripe/webhook", views.stripe_webhook),
    path("payments/alipay/notify", views.alipay_notify),
    path("payments/wechat/notify", views.wechat_notify),
    path("payments/wechat/refund-notify", views.wechat_notify),
    path("v1/topups", api.TopUpListView.as_view(), name="api-topups"),
    path("v1/topups/<slug:number>", api.TopUpView.as_view(), name="api-topup"),
]
