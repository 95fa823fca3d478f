from benchmarks.cases import Case

CASE = Case(
    "Many tiny chunks, one for every row.",
    rows=(10_000,),
    columns=(4096,),
    smallest=((200,), (32,)),
    layout={"step_rows": 1},
)
