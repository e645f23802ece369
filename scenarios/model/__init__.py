"""What a run is made of, as pure values: scenarios, arrival times, workloads, clients."""
