"""Pages of webhooks: endpoints, what was posted to each, and once more."""
