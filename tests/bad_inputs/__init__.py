"""The corpus of bad input: everything that people give to SegSPADE by mistake, and what they are told.

A case is a good source with one thing wrong. It has a name, a small function that breaks the source, and the
exact message, word for word, since that is what a user reads. Every case goes through the real ingest, from a
folder and from a zip file, and must leave nothing behind: no artifact, no staging, no temporary file, and the
source as it was.

    good.py          the good source, drawn by Minicity, in each of the three layouts
    encoders.py      PNGs, JPEGs and zip files that no library would write, made by hand
    corpus.py        what a case is, and how one is written to disk
    photographs.py   label_maps.py   names.py   disks.py   archives.py       sources that are refused
    odd.py           sources that are odd and good: they are accepted, with these pixels
    settings.py      configs that are refused
    sources.py       all of them
    test_sources.py  test_odd.py  test_settings.py  test_command_line.py     run them
    test_fuzz_settings.py  test_fuzz_sources.py                              look for more

To add a case, put one line into a table:

    Case("GIF", lambda city: city.put(city.photo, b"GIF89a"), one("{photo}: is neither a PNG nor ..."))

`one` writes the frame that is around a single problem. In braces are names of the source: {place}, {photo},
{label}, {instance}, {name}. A case applies to the layout `cityscapes`, in a folder and in a zip file, unless
it says otherwise (`layouts=`, `ways=`). What can only be done to files on a disk (links, pipes, rights) or to
the bytes of a zip file is a second function, `on_disk=`, that is called with where the source lies.

To look for more than the short fuzz run does:

    SEGSPADE_FUZZ=5000 pytest tests/bad_inputs -k fuzz
"""
