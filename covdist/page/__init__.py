"""Results as one page for a browser: words, tables and drawings in a file that fetches nothing."""
