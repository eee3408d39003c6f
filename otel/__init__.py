"""Telemetry: the records that the other packages hand out, and what is made of them."""
