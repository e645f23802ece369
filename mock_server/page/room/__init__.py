"""The mock's control room: the page at `/__mock__/` to watch a client by, and to steer what it meets."""
