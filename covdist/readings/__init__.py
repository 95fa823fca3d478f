"""One file = one question asked of the states: labelled xarray in, labelled xarray out."""

SHELVES = ("eigenvalues", "estimates", "rows", "windows")  # packages of readings; any other package here is one reading
