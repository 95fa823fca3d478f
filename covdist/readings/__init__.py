"""One file = one question asked of the states: labelled xarray in, labelled xarray out."""
