"""Numbered migrations and their runner."""
