"""The page of the studio: what is on it, and what each press of a button does."""

from __future__ import annotations

import html
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr

from segspade_core.config import PictureConfig
from segspade_core.datasets.any_picture import decode_any_photograph
from segspade_core.datasets.files import BadFile
from segspade_core.errors import InputError
from segspade_core.figures.panels import marked
from segspade_core.labels import ids_to_colours
from tasks.studio.label_canvas import decode, encode, label_canvas
from tasks.studio.scene import Scene, Studio

_SIZES = ("as trained", "128x256", "192x384", "256x512", "512x1024")
_MEAN, _DRAWN, _OWN, _OTHER = "mean", "drawn by number", "of this photograph", "of another photograph"
_ANY = "any"
CSS = """
.gradio-container { max-width: 1500px !important; }
#told { min-height: 1.6em; }
.picture .image-frame, .picture .image-frame img {
  width: 100% !important; height: auto !important; object-fit: contain !important;
}
#open, #draw { min-height: 52px; }
"""
# of the browser's own, so that nothing is fetched
_FONTS = ["system-ui", "sans-serif"]


def theme() -> gr.themes.Base:
    """Colours and fonts."""
    return gr.themes.Default(primary_hue="blue", neutral_hue="slate", font=_FONTS, font_mono=["monospace"])


def build_page(studio: Studio, heading: str) -> gr.Blocks:
    """The page.

    Args:
        studio: what does the work.
        heading: markdown: which models are used.
    """
    cities, times = studio.conditions
    with gr.Blocks(title="SegSPADE studio", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        scene: Any = gr.State(None)
        gr.Markdown(f"# SegSPADE studio\n{heading}")
        with gr.Row():
            upload = gr.UploadButton("Open a photograph or label map", variant="primary", elem_id="open")
            draw = gr.Button("Draw a street", elem_id="draw")
            seed = gr.Number(1, label="Street number", precision=0, minimum=0, maximum=2**31, elem_id="seed")
            size = gr.Dropdown(
                list(_SIZES), value=_SIZES[0], label="Work at", allow_custom_value=True, elem_id="size"
            )
        told = gr.Markdown("", elem_id="told")
        with gr.Row(equal_height=False):
            with gr.Column(min_width=320):
                gr.Markdown("### Label map")
                canvas: Any = label_canvas()
            with gr.Column(min_width=320):
                gr.Markdown("### Painted from it")
                painting = _picture("Painting", "painting", "photograph painted from the label map")
                with gr.Row():
                    city = gr.Dropdown(
                        [_ANY, *cities], value=_ANY, label="City", visible=bool(cities), elem_id="city"
                    )
                    time_of_day = gr.Dropdown(
                        [_ANY, *times],
                        # of all the hours at once, a street is an odd sight
                        value="day" if "day" in times else _ANY,
                        label="Time of day",
                        visible=bool(times),
                        elem_id="time-of-day",
                    )
                other: Any = gr.State(None)
                with gr.Group(visible=studio.knows_styles):
                    style = gr.Radio(
                        [_MEAN, _DRAWN, _OWN, _OTHER], value=_MEAN, label="Style", elem_id="style"
                    )
                    number = gr.Number(
                        1,
                        label="Number of the style",
                        precision=0,
                        minimum=0,
                        maximum=10**9 - 1,
                        visible=False,
                    )
                    choose = gr.UploadButton(
                        "Photograph for the style", type="binary", elem_id="style-file", visible=False
                    )
                with gr.Row():
                    run = gr.Button("Run the cycle", variant="primary", elem_id="cycle")
                    save = gr.Button("Save everything", elem_id="save")
                    file = gr.DownloadButton("zip", visible="hidden", elem_id="zip")
        agreement = gr.Markdown("", elem_id="agreement")
        with gr.Row():
            photograph = _picture("Photograph", "photograph", "photograph that the map was read from")
            second = _picture("Second map, read off the painting", "second", "label map of the painting")
            difference = _picture("Where the maps differ, in red", "difference", "pixels whose class changed")

        asked = [city, time_of_day, style, number, other]
        pictures = [painting, second, difference, agreement]

        def painted(scene: Scene | None, label_ids: Any, *asked: Any) -> tuple[Any, ...]:
            if scene is None:
                raise InputError("there is no map to paint yet; open a photograph, or draw a street")
            config, style_image = _asked(scene, *asked)
            done, seconds = studio.paint(scene, label_ids, config, style_image)
            return done, done.painting, None, None, "", f"painted in {seconds:.2f} s"

        def opened(new: Scene, *asked: Any) -> tuple[Any, ...]:
            done, *rest, said = painted(new, new.first, *asked)
            height, width = new.first.shape
            said = f"**{new.name}**, {new.own[0]}x{new.own[1]}, worked at {height}x{width}; {said}"
            return done, *rest, said, encode(new.first), new.photograph

        @_telling
        def on_open(path: str, size: str, *asked: Any) -> tuple[Any, ...]:
            file = Path(path)
            return opened(studio.open(file.read_bytes(), file.name, _size(size)), *asked)

        @_telling
        def on_draw(seed: float, size: str, *asked: Any) -> tuple[Any, ...]:
            return opened(studio.draw(int(seed or 0), _size(size)), *asked)

        @_telling
        def on_stroke(scene: Scene | None, value: Any, *asked: Any) -> tuple[Any, ...]:
            return painted(scene, decode(value), *asked)

        @_telling
        def on_ask(scene: Scene | None, value: Any, *asked: Any) -> tuple[Any, ...]:
            if scene is None:  # nothing to paint yet: what is asked is asked of the first map
                return (scene, *[gr.skip()] * len(pictures), "")
            return painted(scene, decode(value), *asked)

        @_telling
        def on_style(content: bytes) -> tuple[Any, ...]:
            try:
                return decode_any_photograph(content), _OTHER
            except BadFile as error:
                raise InputError(f"the photograph for the style {error}") from error

        @_telling
        def on_cycle(scene: Scene | None) -> tuple[Any, ...]:
            if scene is None or scene.painting is None:
                raise InputError("there is no painting yet; open a photograph, or draw a street")
            done = studio.cycle(scene)
            result = done.result
            assert result is not None
            scores = result.agreement
            said = (
                f"**{scores['accuracy']:.1%}** of pixels are of one class in both maps; "
                f"mIoU {scores['miou']:.1%}, edges found again {scores['boundary_f1']:.1%}"
            )
            return done, ids_to_colours(result.second), marked(result.painting, result.disagreement), said

        @_telling
        def on_save(scene: Scene | None, *asked: Any) -> Any:
            if scene is None or scene.painting is None:
                raise InputError("there is nothing to save yet; open a photograph, or draw a street")
            name, content = studio.saved(scene, _asked(scene, *asked)[0])
            folder = Path(tempfile.mkdtemp(prefix="segspade-studio-"))
            (folder / name).write_bytes(content)
            return gr.DownloadButton(value=str(folder / name))

        turn: dict[str, Any] = {
            "concurrency_id": "models",
            "concurrency_limit": 1,
            "api_visibility": "private",
        }
        made = [scene, *pictures, told]
        upload.upload(on_open, [upload, size, *asked], [*made, canvas, photograph], **turn)
        draw.click(on_draw, [seed, size, *asked], [*made, canvas, photograph], **turn)
        canvas.stroke(
            on_stroke,
            [scene, canvas, *asked],
            made,
            trigger_mode="always_last",
            show_progress="hidden",
            **turn,
        )
        for control in (city, time_of_day, style, number, other):
            control.change(on_ask, [scene, canvas, *asked], made, trigger_mode="always_last", **turn)
        style.change(
            lambda style: (gr.Number(visible=style == _DRAWN), gr.UploadButton(visible=style == _OTHER)),
            [style],
            [number, choose],
            show_progress="hidden",
            api_visibility="private",
        )
        choose.upload(on_style, [choose], [other, style], **turn)
        run.click(on_cycle, [scene], [scene, second, difference, agreement], **turn)
        save.click(on_save, [scene, *asked], [file], **turn).success(
            None, js="() => document.querySelector('#zip').click()"
        )
    return page


def _picture(label: str, name: str, alt: str) -> gr.Image:
    return gr.Image(
        label=label,
        elem_id=name,
        elem_classes="picture",
        alt_text=alt,
        format="png",
        interactive=False,
        buttons=["download", "fullscreen"],
    )


def _asked(
    scene: Scene, city: str, time_of_day: str, style: str, number: float, other: Any
) -> tuple[PictureConfig, Any]:
    """The controls → what is asked of the painting, and the photograph whose style it is to have."""
    image = {_OWN: scene.photograph, _OTHER: other}.get(style)
    if style in (_OWN, _OTHER) and image is None:
        which = (
            "this scene came without a photograph"
            if style == _OWN
            else "no photograph for the style was opened"
        )
        raise InputError(f"{which}; take another style")
    named = {_DRAWN: f"sample:{int(number or 0)}", _OWN: "image:own", _OTHER: "image:other"}.get(
        style, "mean"
    )
    chosen = {"city": city, "time_of_day": time_of_day}
    return (
        PictureConfig(
            style=named, **{name: None if value == _ANY else value for name, value in chosen.items()}
        ),
        image,
    )


def _size(text: str) -> tuple[int, int] | None:
    if text == _SIZES[0]:
        return None
    try:
        return PictureConfig.model_validate({"size": text}).size
    except ValueError as error:
        raise InputError(f"'{text}' is no size; give HEIGHTxWIDTH, such as 256x512") from error


def _telling(work: Callable[..., Any]) -> Callable[..., Any]:
    """What the user can mend becomes a sentence on the page; the rest stays as it was."""

    def told(*arguments: Any) -> Any:
        with _as_sentence():
            return work(*arguments)

    return told


@contextmanager
def _as_sentence() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        # a message may be HTML there, and a name of a file anything
        raise gr.Error(
            html.escape(str(error)), title="Not done", duration=15, print_exception=False
        ) from error
