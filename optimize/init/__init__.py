"""Asks a newcomer five questions, and writes a yaml and the command that uses it."""
