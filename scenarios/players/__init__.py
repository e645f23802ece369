"""What plays simulated clients against a gateway."""
