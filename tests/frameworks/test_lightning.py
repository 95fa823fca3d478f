"""The callback of Lightning where a training does not end as it should."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="hooks on torch models need torch, which has an environment of its own")
lightning = pytest.importorskip("lightning", reason="its callback needs lightning")

from covdist.record.lightning import Callback  # noqa: E402


class Log:
    """Takes the numbers of rows."""

    def __init__(self):
        self.rows = []

    def log(self, step, arrays, **coordinates):
        self.rows.append(len(arrays["fc/input"]))


class Fails(lightning.LightningModule):
    """Fails in its second step, the first time."""

    def __init__(self):
        super().__init__()
        self.fc, self.failed = torch.nn.Linear(3, 2), False

    def training_step(self, batch, number):
        if number == 1 and not self.failed:
            self.failed = True
            raise ZeroDivisionError
        return self.fc(batch[0]).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.filterwarnings("ignore")
def test_a_training_that_fails_leaves_no_hooks(tmp_path):
    model, log = Fails(), Log()
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(8, 3)), batch_size=4)
    trainer = lightning.Trainer(
        max_epochs=1, callbacks=[Callback(log, layers="fc")], accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    with pytest.raises(ZeroDivisionError):
        trainer.fit(model, data)
    assert not model.fc._forward_hooks
    trainer.fit(model, data)
    assert log.rows == [4, 4, 4]
    assert not model.fc._forward_hooks
