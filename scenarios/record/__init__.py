"""What a run writes down: the plan, each worker's notes, and the run directory made of them."""
