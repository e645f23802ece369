"""What each clause asks of the answers: pure functions of what was seen."""
