"""Files in a local folder or behind a URL, each present as a whole or not at all."""
