"""The training side: writes the logs that the rest of covdist reads."""
