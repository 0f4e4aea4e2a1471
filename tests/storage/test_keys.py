"""Keys: the same for the same, different for the different, and the same as yesterday."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from storage.keys import artifact_key, fingerprint
from storage.refs import KINDS, ArtifactRef

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
configs = st.dictionaries(st.text(max_size=5), values, max_size=4)


def test_a_key_of_today_is_the_key_of_tomorrow():
    """Golden: a change of how keys are made would make every artifact that people have unfindable."""
    content = b'["ingest",2,{"size":[256,512]},{"source":"source/00"}]'
    expected = hashlib.sha256(content).hexdigest()[:16]
    assert (
        artifact_key("ingest", 2, {"size": (256, 512)}, {"source": "source/00"})
        == expected
        == "0fc25424bcea10a5"
    )


def test_a_fingerprint_of_today_is_that_of_tomorrow():
    assert (
        fingerprint({"b/a.png": (7, 1_700_000_000_000_000_001), "a.png": (5, 3)})
        == "7fae8bb25cccdc9e2162bce0e9dee094"
    )


@given(configs)
def test_the_order_of_settings_does_not_matter(config):
    turned = dict(reversed(list(config.items())))
    assert artifact_key("s", 1, config, {}) == artifact_key("s", 1, turned, {})


@given(configs)
def test_a_config_that_went_through_json_has_the_same_key(config):
    """A plan crosses processes as JSON; a key that changed on the way would be made twice."""
    assert artifact_key("s", 1, config, {}) == artifact_key("s", 1, json.loads(json.dumps(config)), {})


@given(configs, configs)
def test_other_settings_have_another_key(one, other):
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (artifact_key("s", 1, one, {}) == artifact_key("s", 1, other, {})) == same


def test_stage_revision_and_inputs_enter_the_key():
    keys = {
        artifact_key("a", 1, {}, {"x": "dataset/1"}),
        artifact_key("b", 1, {}, {"x": "dataset/1"}),
        artifact_key("a", 2, {}, {"x": "dataset/1"}),
        artifact_key("a", 1, {}, {"y": "dataset/1"}),
        artifact_key("a", 1, {}, {"x": "dataset/2"}),
        artifact_key("a", 1, {"x": "dataset/1"}, {}),
    }
    assert len(keys) == 6


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_equals_nothing_has_no_key(value):
    with pytest.raises(ValueError, match="JSON compliant"):
        artifact_key("s", 1, {"lr": value}, {})


def test_a_path_has_no_key(tmp_path):
    """It would differ from machine to machine."""
    with pytest.raises(TypeError, match="not JSON serializable"):
        artifact_key("s", 1, {"where": tmp_path}, {})


@given(
    st.dictionaries(st.text(max_size=4), st.tuples(st.integers(0), st.integers(0)), min_size=1, max_size=4)
)
def test_any_change_of_a_source_changes_its_fingerprint(members):
    before = fingerprint(members)
    path, (size, mtime_ns) = next(iter(members.items()))
    assert fingerprint(dict(reversed(list(members.items())))) == before
    assert fingerprint({**members, path: (size + 1, mtime_ns)}) != before
    assert fingerprint({**members, path: (size, mtime_ns + 1)}) != before
    assert fingerprint({other: value for other, value in members.items() if other != path}) != before


@pytest.mark.parametrize(
    "text", ["../../etc", "..", "", "ABCDEF0123456789", "0" * 15, "0" * 17, "0" * 15 + "\n"]
)
def test_a_key_cannot_lead_out_of_its_folder(text):
    with pytest.raises(ValidationError):
        ArtifactRef(kind="dataset", key=text)


def test_a_reference_reads_as_a_path_and_its_kind_is_one_of_the_list():
    assert [str(ArtifactRef(kind=kind, key="0" * 16)) for kind in KINDS][1] == "dataset/0000000000000000"
    with pytest.raises(ValidationError):
        ArtifactRef(kind="../dataset", key="0" * 16)
