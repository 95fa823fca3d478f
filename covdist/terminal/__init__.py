"""Results, plans, jobs and logs as text for a terminal, and as records for machines."""
