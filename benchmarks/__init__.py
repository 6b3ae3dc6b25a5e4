"""What `make bench` runs: how long things take, as ratios within one run."""
