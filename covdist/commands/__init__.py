"""The command line's commands, as far as they do not fit into ``cli``."""
