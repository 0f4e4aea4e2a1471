"""The plot of segmenters side by side: each point where its numbers say."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

from segspade_core.figures.segmenters import ComparedSegmenter, comparison_plot
from segspade_core.figures.svg import standalone

ONE = ComparedSegmenter(
    key="0123456789abcdef",
    names=("city",),
    encoder="resnet18",
    head="unet",
    dataset="d",
    size="192x384",
    classes=34,
    val_miou=0.2,
    val_mious=(0.1, 0.2, 0.15),
    scored_at="192x384",
    scored_miou=0.5,
    scored_miou_19=0.6,
    training_images_per_second=None,
    images_per_second=8.0,
    parameters=1_000_000,
    macs=4_000_000_000,
)
TWO = replace(
    ONE,
    key="f" * 16,
    names=(),
    scored_miou=0.25,
    val_miou=0.4,
    images_per_second=2,
    macs=2 * 10**9,
    val_mious=(0.4,),
)


def marks(svg: str) -> list[tuple[float, float, str]]:
    """(x, y, what is said when pointed at) of every disc, those of the legend with no words."""
    return [
        (float(circle.attrib["cx"]), float(circle.attrib["cy"]), circle.findtext("title", ""))
        for circle in ElementTree.fromstring(svg).iter("circle")
    ]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("text")]


def test_points_lie_where_their_numbers_say() -> None:
    """Catches axes that fall, cost and speed exchanged, and points of another segmenter."""
    svg = comparison_plot([ONE, TWO])
    in_gmacs, in_speed, in_time, legend = marks(svg)[:2], marks(svg)[2:4], marks(svg)[4:6], marks(svg)[6:]
    for (one, two), factor in ((in_gmacs, 2), (in_speed, 4)):
        assert one[1] < two[1], "0.5 is above 0.25"
        left = 56 if factor == 2 else 340 + 56
        assert round((one[0] - left) / (two[0] - left), 1) == factor
    assert [mark[2] for mark in in_gmacs] == ["50.0%, 4", "25.0%, 2"]
    assert [mark[2] for mark in in_speed] == ["50.0%, 8", "25.0%, 2"]
    assert [mark[2] for mark in in_time] == ["20.0%, epoch 2", "40.0%, epoch 1"]
    assert in_time[0][0] > in_time[1][0], "the second epoch is right of the first"
    assert in_time[0][1] > in_time[1][1], "0.4 is above 0.2"
    assert len(legend) == 2
    assert "resnet18 unet  (city)" in texts(svg)
    assert "resnet18 unet  (ffffffff)" in texts(svg)
    assert "mIoU on val" in texts(svg)


def test_scores_and_what_training_saw_are_not_mixed() -> None:
    """Catches two kinds of mIoU in one panel, and a segmenter without any that is drawn at 0."""
    svg = comparison_plot(
        [
            ONE,
            replace(TWO, scored_miou=None),
            replace(TWO, scored_miou=None, val_miou=None, val_mious=()),
        ]
    )
    assert [mark[2] for mark in marks(svg)[:2]] == ["20.0%, 4", "40.0%, 2"]
    assert len(marks(svg)) == 2 + 2 + 2 + 3
    assert len([*ElementTree.fromstring(svg).iter("polyline")]) == 2
    assert "mIoU on val, as training saw it" in texts(svg)
    assert "resnet18 unet  (ffffffff): its mIoU is not known" in texts(svg)


def test_a_file_of_its_own_has_paper_and_ink() -> None:
    """Catches a file that no viewer opens, or black on black."""
    root = ElementTree.fromstring(standalone(comparison_plot([ONE])))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "background:#fff" in root.attrib["style"]
