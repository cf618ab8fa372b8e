"""Webhooks out: what a customer's programs are told of, posted to the addresses that its owners named.

A reader of the outbox makes a delivery for each endpoint that wants a fact; workers post them, again where they must.
"""
