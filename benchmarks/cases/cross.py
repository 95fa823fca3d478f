from benchmarks.cases import Case

CASE = Case(
    "The covariances of one layer's columns with as many others.",
    rows=(100_000,),
    columns=(512,),
    smallest=((4_000,), (16,)),
    statistic="cross",
    layout={"halves": True},
)
