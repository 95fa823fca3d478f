from benchmarks.cases import Case

CASE = Case(
    "A log compressed with zstd.",
    rows=(100_000,),
    columns=(256,),
    smallest=((4_000,), (32,)),
    layout={"zstd": True},
)
