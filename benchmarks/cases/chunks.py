from benchmarks.cases import Case

CASE = Case(
    "Many tiny chunks, one per training step of 32 rows.",
    rows=(32_000,),
    columns=(256,),
    smallest=((1_600,), (32,)),
    layout={"step_rows": 32},
)
