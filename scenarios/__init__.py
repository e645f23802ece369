"""Locust scenarios that drive load against a gateway and record every request."""
