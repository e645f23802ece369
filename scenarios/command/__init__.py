"""The command line of `load-test` and of plain Locust, and the run behind it."""
