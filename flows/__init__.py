"""Flows tell the story: one file per deployable flow, named as the flow, calls only."""
