"""The front door: verifies, limits, de-duplicates and admits signed webhooks."""
