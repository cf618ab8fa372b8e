from django.urls import path

from payments import api, refund_api, refund_views, views

urlpatterns = [
    path("console/topup", views.topup_new, name="topup"),
    path("console/topup/<slug:number>", views.topup_show, name="topup-show"),
    path("console/topup/<slug:number>/state", views.topup_state, name="topup-state"),
    path("payments/stripe/webhook", views.stripe_webhook),
    path("payments/alipay/notify", views.alipay_notify),
    path("payments/wechat/notify", views.wechat_notify),
    path("payments/wechat/refund-notify", views.wechat_notify),
    path("console/refunds", refund_views.refund_list, name="refunds"),
    path("console/refunds/<slug:number>", refund_views.refund_show, name="refund-show"),
    path("console/refunds/<slug:number>/cancel", refund_views.refund_cancel, name="refund-cancel"),
    path("v1/refund-requests", refund_api.RefundListView.as_view(), name="api-refunds"),
    path("v1/refund-requests/<slug:number>", refund_api.RefundView.as_view(), name="api-refund"),
    path("v1/refund-requests/<slug:number>/cancel", refund_api.RefundCancelView.as_view(), name="api-refund-cancel"),
    path("v1/topups", api.TopUpListView.as_view(), name="api-topups"),
    path("v1/topups/<slug:number>", api.TopUpView.as_view(), name="api-topup"),
]
