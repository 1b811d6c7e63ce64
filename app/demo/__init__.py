"""The demo: a sample conversation, and what plays it."""
