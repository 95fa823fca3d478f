"""Writes the .pt files beside this, with torch; run once, with 2.13."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    import torch

    x = torch.arange(24, dtype=torch.float32).reshape(8, 3)
    small = {"bfloat16": x.bfloat16(), "float8": x[:4].to(torch.float8_e4m3fn), "uint16": x.to(torch.uint16)}
    views = {"columns": x[:, 1:], "transposed": x.t(), "rows": x[2::2], "expanded": x[0].expand(5, 3)}
    also = {
        "step": 3,
        "name": "run",
        "dtype": torch.float32,
        "device": torch.device("cpu"),
        "shape": x.shape,
        "none": None,
    }
    torch.save({"small": small, "views": views, "list": [x, (x[0], torch.tensor(2.5))], **also}, HERE / "nested.pt")
    model = torch.nn.Sequential(torch.nn.Linear(3, 2))
    with torch.no_grad():
        model[0].weight.copy_(x[:2])
        model[0].bias.copy_(x[0, :2])
    torch.save(model.state_dict(), HERE / "state.pt")
    torch.save(torch.nn.Parameter(x), HERE / "alone.pt")
    torch.save(x, HERE / "legacy.pt", _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main()
