"""Names that no feature may have: those of the other columns of training tables, of predictions."""

BASELINES = ("baseline_last_value", "baseline_seasonal", "baseline_weekly")
# the training table has these columns beside the features
RESERVED = ("entity", "time", "y", "split", *BASELINES)
# and predictions of the holdout have these beside the columns to slice by
INTERVAL_COLUMNS = ("low", "high")
PREDICTED = ("prediction", *INTERVAL_COLUMNS)
