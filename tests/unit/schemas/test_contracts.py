"""A contract reports every violation at once."""

import numpy as np
import pytest
import xarray as xr

from schemas.contracts.aligned import ALIGNED
from schemas.contracts.contract import TEXT, DatasetContract, TreeContract, Variable
from schemas.contracts.streams import STREAMS
from schemas.errors import ContractError


def test_a_valid_tree_passes(make_aligned) -> None:
    ALIGNED.check(make_aligned(np.zeros((30, 2)), np.zeros((30, 1))))


def test_every_violation_is_reported_at_once(make_aligned) -> None:
    tree = make_aligned(np.zeros((30, 2)), np.zeros((30, 1)))
    del tree.attrs["subject_id"]
    calcium = tree["calcium"].to_dataset(inherit=False)
    broken = {
        "/": tree.to_dataset(),
        "/calcium": calcium.assign(
            activity=calcium["activity"].astype("i4").transpose("unit", "time").drop_attrs()
        ).drop_vars("valid"),
        "/running": tree["running"].to_dataset(inherit=False).assign_attrs(stream_kind="walking"),
    }
    with pytest.raises(ContractError) as caught:
        ALIGNED.check(xr.DataTree.from_dict(broken))
    text = "\n".join(caught.value.violations)
    for expected in (
        "/: attribute 'subject_id' is missing",
        "/clock: the group is missing",
        "/calcium:activity: dims are ('unit', 'time')",
        "/calcium:activity: dtype is int32",
        "/calcium:activity: attribute 'units' is missing",
        "/calcium:time: attribute 'units' is missing",
        "/calcium:valid: missing",
        "/running: attribute 'stream_kind' is 'walking'",
    ):
        assert expected in text
    assert len(caught.value.violations) == 8


def test_optional_parts_may_be_absent_but_not_wrong() -> None:
    contract = TreeContract(
        "made up",
        groups={"a": DatasetContract("a", {"x": Variable(("time",), optional=True)})},
        optional=frozenset({"a"}),
    )
    contract.check(xr.DataTree())
    contract.check(xr.DataTree.from_dict({"/a": xr.Dataset()}))
    wrong = xr.Dataset({"x": ("time", np.zeros(3, bool))})
    assert list(contract.violations(xr.DataTree.from_dict({"/a": wrong}))) == [
        "/a:x: dtype is bool, not one of kind 'f'"
    ]


def test_text_may_be_of_any_width() -> None:
    contract = DatasetContract("a", coords={"unit": Variable(("unit",), TEXT)})
    for names in (["a", "bcd"], np.array(["a"], object), np.array(["a"], np.dtypes.StringDType())):
        assert not list(contract.violations(xr.Dataset(coords={"unit": ("unit", names)})))


def test_streams_are_judged_by_their_kind() -> None:
    spikes = xr.Dataset(
        {
            "spike_time": ("spike", np.zeros(3), {"units": "s"}),
            "unit_index": ("spike", np.zeros(3, int)),
        },
        {"unit": ["a"]},
        {"stream_kind": "spikes", "source": "/units", "primary": "spike_time"},
    )
    root = dict.fromkeys(STREAMS.root_attrs, "x")
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs=root), "/units": spikes})
    STREAMS.check(tree)
