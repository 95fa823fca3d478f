"""How sure a result is: errors, intervals, and how many independent rows there are."""
