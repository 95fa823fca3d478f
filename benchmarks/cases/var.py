from benchmarks.cases import Case

CASE = Case(
    "Variances only: bound by reading.",
    rows=(1_000_000,),
    columns=(64,),
    smallest=((10_000,), (64,)),
    statistic="var",
)
