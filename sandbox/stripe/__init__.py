"""Stripe's API as far as a top-up needs it: Checkout, payments, refunds, disputes, balance transactions, webhooks."""
