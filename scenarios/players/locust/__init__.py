"""The Locust adapter: plays simulated clients in real time."""
