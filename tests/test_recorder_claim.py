"""A claim that is given back while its thread renews it leaves nothing, and takes nothing from the next one."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from covdist.logs.opening import open_log
from covdist.record import claim
from covdist.record.claim import Claim
from covdist.record.recorder import Recorder
from covdist.storage.place import Folder

SOON = 0.5  # seconds within which another thread comes as far as it can


@pytest.fixture
def during(monkeypatch):
    """Return what has something done once, when a lease that is renewed is about to be written."""

    def have(act):
        acts, put = [act], Folder.put

        def acting(self, name, *parts):
            if self.root.endswith(".lease") and acts:
                acts.pop()()
            put(self, name, *parts)

        monkeypatch.setattr(Folder, "put", acting)

    return have


@pytest.mark.parametrize("same_thread", [False, True])  # True: where its recorder is collected as garbage
def test_a_claim_that_is_given_back_while_it_is_renewed(tmp_path, during, same_thread):
    first = Claim(f"{tmp_path}/log", None)
    ending = threading.Thread(target=first.release)

    def end():
        if same_thread:
            return first.release()
        ending.start()
        ending.join(SOON)

    during(end)
    first.renew()
    if not same_thread:
        ending.join()
    assert not os.path.exists(tmp_path / "log.lease")
    second = Claim(f"{tmp_path}/log", None)
    first.renew()
    assert second.check(now=True)
    second.release()


def test_recorders_one_after_the_other_whose_leases_are_renewed_all_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr(claim, "LEASE", 0.003)
    for number in range(40):
        with Recorder(tmp_path / "log", mode="a") as rec:
            rec.log(number, {"n/a": np.ones((3, 2))})
        assert not os.path.exists(tmp_path / "log.lease")
    assert open_log(tmp_path / "log")["n/a"].shape == (120, 2)
