"""The pure engine: every decision is a function of (state, now, dice); nothing here waits or does I/O."""
