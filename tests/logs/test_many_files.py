"""Files of one folder that are steps, clips or samples of the same arrays."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import LogError
from covdist.limits import changed
from covdist.logs.joining.numbering import Numbered, numbered

RNG = np.random.default_rng(0)


def arrays(log):
    return {f"{node.path.rstrip('/')}/{name}"[1:] for node in log.subtree for name in node.data_vars}


def batches(folder, name="activation_{:04d}", rows=(3, 5, 0, 2), columns=4):
    folder.mkdir(parents=True, exist_ok=True)
    found = [RNG.normal(size=(n, columns)).astype("float32") for n in rows]
    for number, each in enumerate(found):
        np.save(folder / f"{name.format(number)}.npy", each)
    return np.concatenate(found)


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("step_0100", Numbered("", "step", 100)), ("0003", Numbered("", "file", 3)), ("7", Numbered("", "file", 7)),
        ("activation_0007", Numbered("activation", "file", 7)), ("activation-7", Numbered("activation", "file", 7)),
        ("fc1_activation_7", Numbered("fc1_activation", "file", 7)), ("clip007", Numbered("", "clip", 7)),
        ("part-00001-of-00005", Numbered("", "part", 1, 5)), ("model-00001-of-00005", Numbered("model", "file", 1, 5)),
        ("data-00000-of-00001", Numbered("", "file", 0, 1)),
        ("step_0001_activation", Numbered("activation", "step", 1)), ("train.step=12", Numbered("train", "step", 12)),
        ("Epoch 3", Numbered("", "epoch", 3)), ("fc1", None), ("layer_001", None), ("block3", None), ("conv_2", None),
        ("activation7", None), ("x_7", Numbered("x", "file", 7)), ("attn_3", None),
        ("hidden.0", None), ("activation", None), ("timestep_x", None), ("resnet50", None),
        ("footstep3", None), ("encoder.layer.011", None), ("x_007", Numbered("x", "file", 7)),
    ],
)  # fmt: skip
def test_names(stem, expected):
    assert numbered(stem) == expected


def test_files_of_unequal_rows_are_one_array(tmp_path):
    expected = batches(tmp_path / "fc1")
    log = covdist.open_log(tmp_path)
    assert arrays(log) == {"fc1/activation"}
    found = log["fc1/activation"]
    np.testing.assert_array_equal(found.values, expected)
    assert found.dims == ("sample", "unit")
    np.testing.assert_array_equal(found["sample_file"], np.repeat([0, 1, 3], [3, 5, 2]))
    np.testing.assert_allclose(
        covdist.cov(found, dim="sample").values, np.cov(expected.astype("f8").T, ddof=0), rtol=1e-12
    )


@given(st.lists(st.integers(0, 7), min_size=2, max_size=12), st.integers(1, 5), st.data())
def test_any_rectangle_of_joined_files(tmp_path_factory, rows, chunk, data):
    folder = tmp_path_factory.mktemp("log")
    expected = batches(folder / "fc1", rows=rows, columns=3)
    with changed(npy_chunk_bytes=12 * chunk):
        found = covdist.open_log(folder)["fc1/activation"]
    assert found.chunks is not None
    np.testing.assert_array_equal(found.values, expected)
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(expected))] * 2)))
    np.testing.assert_array_equal(found[start:stop, 1:].values, expected[start:stop, 1:])


def test_the_folder_names_what_its_files_only_number(tmp_path):
    expected = batches(tmp_path / "fc1" / "activation", "{:d}", rows=[2] * 12)
    log = covdist.open_log(tmp_path)
    assert arrays(log) == {"fc1/activation"}
    np.testing.assert_array_equal(log["fc1/activation"].values, expected)  # 2 before 10
    alone = covdist.open_log(tmp_path / "fc1" / "activation")
    assert arrays(alone) == {"activation"}


def test_a_file_a_step_with_several_layers(tmp_path):
    steps = [10, 20, 30]
    values = {
        step: {
            "fc1/activation": RNG.normal(size=(4, 3)), "fc1/gradient": RNG.normal(size=9),
            "fc1/label": np.arange(4), "fc2/loss": step / 7,
        } for step in steps
    }  # fmt: skip
    for step, each in values.items():
        np.savez(tmp_path / f"step_{step}.npz", **each)
    log = covdist.open_log(tmp_path)
    assert arrays(log) == {"fc1/activation", "fc1/gradient", "fc2/loss"}
    fc1 = log["fc1"]
    np.testing.assert_array_equal(fc1["activation"], np.concatenate([values[s]["fc1/activation"] for s in steps]))
    np.testing.assert_array_equal(fc1["gradient"], [values[s]["fc1/gradient"] for s in steps])
    assert fc1["gradient"].dims == ("step", "param")
    np.testing.assert_array_equal(fc1["step"], steps)
    np.testing.assert_array_equal(fc1["sample_step"], np.repeat(steps, 4))
    np.testing.assert_array_equal(fc1["label"], np.tile(np.arange(4), 3))
    assert "label" in fc1["activation"].coords
    np.testing.assert_array_equal(log["fc2/loss"], [s / 7 for s in steps])
    np.testing.assert_array_equal(log["fc2/loss"]["step"], steps)
    by_step = covdist.var(fc1["activation"], dim="sample", by="sample_step")
    np.testing.assert_allclose(by_step.values[1], values[20]["fc1/activation"].var(axis=0))


def test_an_array_that_not_every_file_has(tmp_path):
    for step in range(6):
        extra = {"gradient": np.full(3, step)} if step % 2 else {}
        np.savez(tmp_path / f"step_{step}.npz", activation=np.full((2, 4), step), **extra)
    log = covdist.open_log(tmp_path)
    assert log["activation"].shape == (12, 4)
    np.testing.assert_array_equal(log["gradient"][:, 0], [1, 3, 5])
    np.testing.assert_array_equal(log["gradient"]["step"], [1, 3, 5])


def test_files_that_do_not_fit_stay_apart(tmp_path):
    np.save(tmp_path / "step_1.npy", np.ones((2, 3)))
    np.save(tmp_path / "step_2.npy", np.ones((2, 4)))
    assert arrays(covdist.open_log(tmp_path)) == {"step_1", "step_2"}
    with pytest.raises(LogError, match=r"step_1 \(shape \(2, 3\), float64\) and step_2 .* folders of their own"):
        covdist.open_log(tmp_path, concat=True)


def test_layers_by_number_stay_layers(tmp_path):
    for layer in range(3):
        np.savez(tmp_path / f"fc{layer}.npz", activation=np.ones((2, 3)))
        np.save(tmp_path / f"layer_{layer:03d}.npy", np.ones((2, 3)))
    assert len(arrays(covdist.open_log(tmp_path))) == 6


def test_concat_joins_what_is_not_numbered_and_none_where_told(tmp_path):
    for clip in ("rain", "dog", "clip10", "clip9"):
        np.save(tmp_path / f"{clip}.npy", np.full((2, 3), len(clip) + (clip == "clip9")))
    assert len(arrays(covdist.open_log(tmp_path))) == 3  # both clips are one
    whole = covdist.open_log(tmp_path, concat=True)
    assert arrays(whole) == {tmp_path.name}
    assert whole[tmp_path.name].shape == (8, 3)
    assert len(arrays(covdist.open_log(tmp_path, concat=False))) == 4


def test_concat_of_a_log_that_is_no_folder_of_files(tmp_path):
    with covdist.Recorder(tmp_path / "run.zarr") as rec:
        rec.log(0, {"fc1/activation": np.ones((2, 3))})
    with pytest.raises(LogError, match="not made of several files"):
        covdist.open_log(tmp_path / "run.zarr", concat=True)
    assert arrays(covdist.open_log(tmp_path / "run.zarr", concat=False)) == {"fc1/activation"}


def test_a_damaged_or_missing_file_hides_no_rows(tmp_path):
    batches(tmp_path / "fc1")
    batches(tmp_path / "fc2")
    path = tmp_path / "fc1" / "activation_0001.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log = covdist.open_log(tmp_path)
    assert arrays(log) == {"fc2/activation"}
    with pytest.raises(LogError, match="activation_0001"):
        log["fc1/activation"]
    batches(tmp_path / "parts", "part-{:05d}-of-00005")
    with pytest.raises(LogError, match="one of 5 files by its name, of which 4 are there, and number 4 is not"):
        covdist.open_log(tmp_path / "parts")


def test_a_file_that_changes_afterwards_is_named(tmp_path):
    batches(tmp_path / "fc1")
    found = covdist.open_log(tmp_path)["fc1/activation"]
    np.save(tmp_path / "fc1" / "activation_0001.npy", np.ones((5, 4), "float32"))
    with pytest.raises(LogError, match=r"activation_0001.*changed"):
        found.values  # noqa: B018


def test_a_name_that_is_taken(tmp_path):
    batches(tmp_path)
    np.save(tmp_path / "activation.npy", np.ones((2, 2)))
    assert len(arrays(covdist.open_log(tmp_path))) == 5


FOLDERS = ["rate=0.1/step=2", "rate=0.1/step=10", "rate=3/step=2"]


@pytest.mark.parametrize("names", [[f"{{}}_step{n}" for n in (2, 10, 11)], [f"{each}/{{}}" for each in FOLDERS]])
def test_arrays_of_which_each_has_files_of_its_own(tmp_path, names):
    """Files side by side are one layer, as arrays of one file are: they share rows and what labels these."""
    wanted = {"activation": [], "output": [], "label": [], "odd": []}
    for number, name in enumerate(names):
        for array, size in (("activation", (4, 2)), ("output", (4, 3)), ("label", (4,)), ("odd", (number, 2))):
            wanted[array].append(RNG.normal(size=size))
            file = tmp_path / f"{name.format(array)}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, wanted[array][-1])
    log = covdist.open_log(tmp_path)
    assert arrays(log) == {"activation", "odd", "output"}
    assert log["output"].dims == ("sample", "output_unit")
    assert log["activation"].dims == ("sample", "unit")
    assert log["activation"].coords.keys() == log["output"].coords.keys()
    for name, parts in wanted.items():
        np.testing.assert_array_equal(log[name], np.concatenate(parts))
    steps = [2, 10, 11] if len(log["odd"].coords) == 1 else [2, 10, 2]
    ours, odd = (next(c for name, c in log[x].coords.items() if "step" in name) for x in ("output", "odd"))
    np.testing.assert_array_equal(ours, np.repeat(steps, 4))
    np.testing.assert_array_equal(odd, np.repeat(steps, [0, 1, 2]))


def test_an_array_beside_others_that_does_not_fit_stays_apart(tmp_path):
    for step in (1, 2):
        np.save(tmp_path / f"output_step{step}.npy", np.ones((4, 3)))
        np.save(tmp_path / f"activation_step{step}.npy", np.ones((4, step)))
    assert arrays(covdist.open_log(tmp_path)) == {"output", "activation_step1", "activation_step2"}


def test_an_array_of_which_some_folders_have_no_file(tmp_path):
    for step in (1, 2, 10):
        (tmp_path / f"step={step}").mkdir()
        np.save(tmp_path / f"step={step}" / "output.npy", np.full((4, 3), step))
    np.save(tmp_path / "step=2" / "activation.npy", np.full((4, 2), 2))
    log = covdist.open_log(tmp_path)
    np.testing.assert_array_equal(log["output"].output_sample_step, np.repeat([1, 2, 10], 4))
    np.testing.assert_array_equal(log["activation"].step, [2] * 4)
