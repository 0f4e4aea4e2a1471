"""Folders and archives as a source of files: the same paths and bytes, and nothing from outside."""

from __future__ import annotations

import os
import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from segspade_core.datasets.source import BadFile, open_source
from segspade_core.errors import InputError


def lines(source):
    return sorted(map(str, source.problems))


def archive(path, members):
    with zipfile.ZipFile(path, "w") as pack:
        for name, content in members:
            pack.writestr(name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name), content)
    return path


def test_a_folder_and_its_zip_hold_the_same_files(city, tmp_path):
    for number in range(3):
        city.frame(f"ulm_{number:06}_000019")
    city.pack(tmp_path / "all.zip")
    (tmp_path / "zips").mkdir()
    city.pack(tmp_path / "zips" / "leftImg8bit_trainvaltest.zip", "leftImg8bit")
    city.pack(tmp_path / "zips" / "gtFine_trainvaltest.zip", "gtFine")
    places = [city.root, tmp_path / "all.zip", tmp_path / "zips"]
    sources = [open_source(place) for place in places]
    read = [{path: source.read(path) for path in source.members()} for source in sources]
    assert read[0] == read[1] == read[2]
    assert len(read[0]) == 9
    assert [source.problems for source in sources] == [[], [], []]
    sizes = [{path: size for path, (size, _) in source.members().items()} for source in sources]
    assert sizes[0] == sizes[1] == sizes[2] == {path: len(content) for path, content in read[0].items()}


def test_zip_files_and_unpacked_folders_mix(city, tmp_path):
    id = city.frame("ulm_000000_000019")
    city.pack(city.root / "gtFine_trainvaltest.zip", "gtFine")
    for kind in ("labelIds", "instanceIds"):
        (city.root / city.map_path(id, kind=kind)).unlink()
    source = open_source(city.root)
    assert list(source.members()) == sorted(source.members())
    assert {city.photo_path(id), city.map_path(id)} < set(source.members())
    assert str(source) == f"{city.root} (with gtFine_trainvaltest.zip)"


def test_what_is_no_image_is_no_part_of_the_source(city):
    """A note, a hidden file or what macOS leaves behind would change the key of the dataset."""
    city.frame("ulm_000000_000019")
    before = open_source(city.root).members()
    for path in (
        "notes.txt",
        ".cache/a.png",
        "__MACOSX/leftImg8bit/._a.png",
        "gtFine/train/ulm/a_polygons.json",
    ):
        city.put(path, b"x")
    assert open_source(city.root).members() == before


def test_a_touched_file_and_an_altered_member_show(city, tmp_path):
    """The fingerprint must change with them, and not with a copy of the archive."""
    path = city.photo_path(city.frame("ulm_000000_000019"))
    city.pack(tmp_path / "a.zip")
    before, packed = open_source(city.root).members(), open_source(tmp_path / "a.zip").members()
    os.utime(city.root / path, ns=(10**18, 10**18))
    assert open_source(city.root).members()[path] == (before[path][0], 10**18)
    city.pack(tmp_path / "a.zip")
    assert open_source(tmp_path / "a.zip").members() == packed
    content = bytearray((city.root / path).read_bytes())
    content[40] ^= 1
    city.put(path, bytes(content))
    city.pack(tmp_path / "a.zip")
    altered = open_source(tmp_path / "a.zip").members()
    assert altered[path][0] == packed[path][0]
    assert altered[path] != packed[path]


def test_members_that_leave_the_archive_are_refused(tmp_path):
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    members = ["../a.png", "b/../../a.png", "/etc/a.png", "C:/a.png", "..\\a.png", link, "./good//b.png"]
    place = archive(tmp_path / "x.zip", [(name, b"x") for name in members])
    source = open_source(place)
    assert list(source.members()) == ["good/b.png"]
    assert source.read("good/b.png") == b"x"
    remedy = "An official archive has no such member: download it again from where you trust it"
    backslash = "has a backslash in its path, which some systems take for a folder"
    assert lines(source) == [
        f"x.zip:'../a.png': has a path that leaves the archive. {remedy}",
        f"x.zip:'..\\\\a.png': {backslash}. {remedy}",
        f"x.zip:'/etc/a.png': has an absolute path, which leaves the archive. {remedy}",
        f"x.zip:'C:/a.png': has an absolute path, which leaves the archive. {remedy}",
        f"x.zip:'b/../../a.png': has a path that leaves the archive. {remedy}",
        f"x.zip:'link.png': is a symbolic link. {remedy}",
    ]


def test_links_may_not_leave_a_folder(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside.png").write_bytes(b"secret")
    (root / "real.png").write_bytes(b"x")
    (root / "alias.png").symlink_to("real.png")
    (root / "out.png").symlink_to("../outside.png")
    (root / "gone.png").symlink_to("nothing.png")
    (root / "loop").symlink_to(".")
    (root / "README").symlink_to("../outside.png")
    (root / "gtFine.zip").symlink_to("../outside.png")
    source = open_source(root)
    assert list(source.members()) == ["alias.png", "real.png"]
    assert lines(source) == [
        "gone.png: is a symbolic link to nothing. Put the file itself there",
        "gtFine.zip: is a symbolic link that leaves the source. Put the file itself there",
        "loop: is a symbolic link to a folder. Put the folder itself there",
        "out.png: is a symbolic link that leaves the source. Put the file itself there",
    ]


def test_the_same_file_twice_in_an_archive(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        place = archive(tmp_path / "x.zip", [("a.png", b"1"), ("a.png", b"2")])
    assert lines(open_source(place)) == [
        "a.png: is in x.zip more than once. Make the archive anew with one file of that name"
    ]


def test_a_dataset_that_is_there_packed_and_unpacked_is_one_line(city):
    """Not one for each of 25,000 files; and what is used meanwhile is said."""
    for number in range(2):
        city.frame(f"ulm_{number:06}_000019")
    city.pack(city.root / "b.zip", "gtFine")
    (city.root / "c.zip").write_bytes((city.root / "b.zip").read_bytes())
    remedy = "Move one of the two away; while both are there, the latter are used"
    first = "gtFine/train/ulm/ulm_000000_000019_gtFine_instanceIds.png"
    assert lines(open_source(city.root)) == [
        f"{name}: holds 4 files that are in the unpacked files too, such as {first}. {remedy}"
        for name in ("b.zip", "c.zip")
    ]


def test_a_damaged_archive(city, tmp_path):
    path = city.photo_path(city.frame("ulm_000000_000019"))
    city.pack(tmp_path / "a.zip")
    whole = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError) as error:
        open_source(tmp_path / "a.zip")
    expected = "is not a whole zip file. Give a dataset's folder, or a zip file that is whole."
    assert str(error.value) == f"{tmp_path / 'a.zip'}: {expected}"
    (city.root / "a.zip").write_bytes(whole[: len(whole) // 2])
    assert lines(open_source(city.root)) == ["a.zip: is not a whole zip file. Download it again"]
    # one byte of one member
    damaged = bytearray(whole)
    damaged[whole.index(path.encode()) + len(path) + 60] ^= 1
    (tmp_path / "b.zip").write_bytes(damaged)
    with pytest.raises(BadFile, match=r"^is damaged in b\.zip\. Download b\.zip again$"):
        open_source(tmp_path / "b.zip").read(path)


def test_a_member_that_would_unpack_to_too_much_is_not_unpacked(city, tmp_path, monkeypatch):
    path = city.photo_path(city.frame("ulm_000000_000019"))
    city.pack(tmp_path / "x.zip")
    size = len((city.root / path).read_bytes())
    monkeypatch.setattr("segspade_core.datasets.source.MAX_FILE_BYTES", size - 1)
    monkeypatch.setattr("zipfile.ZipFile.read", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(BadFile) as error:
        open_source(tmp_path / "x.zip").read(path)
    what = f"has {size} bytes, more than the {size - 1} allowed for one image"
    assert str(error.value) == f"{what}. See whether it is an image at all; if so, make it smaller"


@pytest.mark.parametrize(
    ("flags", "method", "text"),
    [
        (1, 0, "is encrypted in x.zip. Unpack the archive with its password"),
        (0, 12, "is packed in x.zip by method 12. Make the archive anew with deflate"),
    ],
)
def test_members_that_cannot_be_unpacked(tmp_path, flags, method, text):
    content = bytearray(archive(tmp_path / "x.zip", [("a.png", b"x")]).read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 8] |= flags
    content[directory + 10] = method
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(BadFile) as error:
        open_source(tmp_path / "x.zip").read("a.png")
    assert str(error.value) == text


def test_a_file_that_goes_away(city):
    path = city.photo_path(city.frame("ulm_000000_000019"))
    source = open_source(city.root)
    (city.root / path).unlink()
    with pytest.raises(BadFile, match=r"^was there a moment ago and is gone\. Put it back and run again$"):
        source.read(path)
    with pytest.raises(BadFile, match=r"^is not in the source\."):
        source.read("../city/" + path)


def test_no_such_place(tmp_path):
    with pytest.raises(InputError) as error:
        open_source(tmp_path / "nothing")
    text = "there is no such file or folder. Give the dataset's folder or zip file."
    assert str(error.value) == f"{tmp_path / 'nothing'}: {text}"


def test_threads_read_one_archive_at_once(city, tmp_path):
    """Fails when threads move each other's place in the file."""
    for number in range(8):
        city.frame(f"ulm_{number:06}_000019")
    city.pack(tmp_path / "a.zip")
    source = open_source(tmp_path / "a.zip")
    paths = list(source.members()) * 20
    with ThreadPoolExecutor(8) as pool:
        for path, content in zip(paths, pool.map(source.read, paths), strict=True):
            assert content == (city.root / path).read_bytes()
