"""Turns a run directory into verdicts, tables and plots."""
