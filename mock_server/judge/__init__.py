"""What the journal says of the client: a verdict by rules, and which answers its tests met. All of it is pure."""
