"""One file = one format in which other tools keep statistics of rows, found by its name.

A format has one of

- ``write(m, path, **options)`` writes one state to a new file or folder; ``SUFFIX`` ends a layer's file where there are
  several;
- ``write_all(states, path, **options)`` writes several, by node path, to one file or folder.

States come computed. Those with groups come only where the format sets ``GROUPS``. Formats from which rows can go on
also have ``read(path, **options)``, which returns moments by node path, as :func:`covdist.load` does.
"""
