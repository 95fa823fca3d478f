"""``Callback``: ``covdist.record.torch.watch`` for the Trainer of Lightning."""

from __future__ import annotations

from typing import Any

from covdist.record.torch.asked import asked
from covdist.record.torch.callbacks import made_late
from covdist.record.torch.watching import watch


def _callback(base: Any) -> type:
    class Callback(base):  # type: ignore[misc, unused-ignore]
        """Records each step of a ``Trainer``, with its epoch: ``Trainer(callbacks=[Callback(rec, layers="net.*")])``.

        Takes a recorder and the options of :func:`covdist.record.torch.watch`. Gradients are those before they are
        clipped, and without the factor of mixed precision.
        """

        def __init__(self, rec: Any, **options: Any):
            self._rec, self._options = rec, asked(rec, options)._asdict()
            self._watch: Any = None

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            if self._watch is not None:  # of a training that was tried, as to find the size of batches
                self._watch.remove()
            self._watch = watch(pl_module, self._rec, **self._options)

        def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
            self._watch.step(trainer.global_step, epoch=trainer.current_epoch)

        def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
            if self._watch is not None:
                self._watch.remove()

        def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
            self.teardown(trainer, pl_module, "fit")

    return Callback


_NEEDS = "recording from Lightning needs lightning: pip install lightning 'covdist[torch]'."
__getattr__ = made_late(__name__, "lightning.pytorch", "Callback", _NEEDS, _callback)
