"""Jobs that survive: what to do next, what a directory remembers, and one owner at a time.

``shape`` and ``machine`` decide, ``directory`` remembers, ``driver`` joins them with whatever runs the tasks;
``dask_runner`` alone knows dask.
"""
