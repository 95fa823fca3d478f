"""``Callback``: ``covdist.record.torch.watch`` for the Trainer of Hugging Face."""

from __future__ import annotations

from typing import Any

from covdist.record.torch.asked import asked
from covdist.record.torch.callbacks import made_late
from covdist.record.torch.watching import watch


def _callback(base: Any) -> type:
    class Callback(base):  # type: ignore[misc, unused-ignore]
        """Records each step of a ``Trainer``, with its epoch: ``Trainer(callbacks=[Callback(rec, layers="*/mlp/*")])``.

        Takes a recorder and the options of :func:`covdist.record.torch.watch`. Gradients are those that the optimizer
        has used: clipped, and without the factor of mixed precision.
        """

        def __init__(self, rec: Any, **options: Any):
            self._rec, self._options = rec, asked(rec, options)._asdict()
            self._watch: Any = None

        def on_train_begin(self, args: Any, state: Any, control: Any, *, model: Any, **_: Any) -> None:
            if self._watch is not None:  # of a training that an exception has ended
                self._watch.remove()
            self._watch = watch(model, self._rec, **self._options)

        def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self._watch.step(state.global_step, epoch=int(state.epoch))

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self._watch.remove()

    return Callback


_NEEDS = "recording from transformers needs transformers 4.46 or later: pip install transformers 'covdist[torch]'."
__getattr__ = made_late(__name__, "transformers", "TrainerCallback", _NEEDS, _callback)
