"""Arrays of a log that are one: what several ranks recorded, and what many files of a folder hold."""
