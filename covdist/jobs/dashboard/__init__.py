"""The page ``covdist`` in the dashboard of the cluster on which jobs run; it needs bokeh where the scheduler runs."""
