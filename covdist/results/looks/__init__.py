"""How moments look in a notebook or at a prompt: from what is at hand, in a moment, whatever their size."""
