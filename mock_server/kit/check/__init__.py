"""Runs a client team's own command once for each fault of a plan, and judges what came of it."""
