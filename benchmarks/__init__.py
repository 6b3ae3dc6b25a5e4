"""What `make bench` and docs/results.md measure; each module prints its numbers as Markdown."""
