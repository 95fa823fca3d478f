"""Results of logs that grow: what was folded is remembered, and only new rows are folded."""
