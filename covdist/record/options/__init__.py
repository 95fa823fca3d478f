"""What a recorder is asked to keep of what it is given, and in what dtype."""
