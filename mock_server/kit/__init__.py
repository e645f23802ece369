"""What client teams run."""
