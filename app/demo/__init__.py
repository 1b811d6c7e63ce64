"""The demo's sample conversation and its player."""
