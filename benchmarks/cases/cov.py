from benchmarks.cases import Case

CASE = Case(
    "The covariance of one layer.",
    rows=(100_000,),
    columns=(256,),
    smallest=((4_000,), (16,)),
)
