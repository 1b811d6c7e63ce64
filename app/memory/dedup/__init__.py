"""Deduplication: decide from the texts and their distance what an incoming memory is to a stored one, then act.

`judge` decides about two memories, `plan` about a batch, `merge` says what becomes of the fields. All of it is pure.
"""
