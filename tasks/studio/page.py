"""The page of the studio: what is on it, and what each press of a button does."""

from __future__ import annotations

import html
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from segspade_core.datasets.any_picture import decode_any_photograph
from segspade_core.datasets.files import BadFile
from segspade_core.errors import InputError
from segspade_core.figures.panels import marked
from segspade_core.labels import ids_to_colours
from tasks.studio.asking import (
    ANY,
    DRAWN,
    MAX_STREET,
    MEAN,
    OTHER,
    OWN,
    SIZES,
    asked_of,
    missing,
    size_of,
    whole,
)
from tasks.studio.label_canvas import decode, encode, label_canvas
from tasks.studio.scene import Scene, Studio

CSS = """
.gradio-container { max-width: 1500px !important; }
#told { min-height: 1.6em; }
.picture .image-frame, .picture .image-frame img {
  width: 100% !important; height: auto !important; max-height: 70vh; object-fit: contain !important;
}
#open, #draw { min-height: 52px; }
"""
# Gradio's lists stay open where the Tab key leaves them, and lie over what is below
SCRIPT = """() => document.addEventListener("focusout", ({ target }) => {
  if (!target.matches("[role=combobox]")) return;
  setTimeout(() => target.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true })));
})"""
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
            upload = gr.UploadButton("Open a picture", variant="primary", elem_id="open")
            draw = gr.Button("Draw a street", elem_id="draw")
            # without bounds: Gradio would round, and print a traceback where one is exceeded
            seed = gr.Number(1, label="Street number", elem_id="seed")
            size = gr.Dropdown(
                list(SIZES),
                value=SIZES[0],
                label="Size of the next picture",
                allow_custom_value=True,
                elem_id="size",
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
                        [ANY, *cities], value=ANY, label="City", visible=bool(cities), elem_id="city"
                    )
                    time_of_day = gr.Dropdown(
                        [ANY, *times],
                        # of all the hours at once, a street is an odd sight
                        value="day" if "day" in times else ANY,
                        label="Time of day",
                        visible=bool(times),
                        elem_id="time-of-day",
                    )
                other: Any = gr.State(None)
                with gr.Group(visible=studio.knows_styles):
                    style = gr.Radio([MEAN, DRAWN, OWN, OTHER], value=MEAN, label="Style", elem_id="style")
                    number = gr.Number(1, label="Number of the style", visible=False, elem_id="style-number")
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
            config, style_image = asked_of(scene, *asked)
            done, seconds = studio.paint(scene, label_ids, config, style_image)
            lacks = missing(scene, *asked[2:])
            said = f"painted in {seconds:.2f} s" + (f" in the mean style; {lacks}" if lacks else "")
            return done, done.painting, None, None, "", f"{_name(scene)}: {said}"

        def opened(new: Scene, *asked: Any) -> tuple[Any, ...]:
            done, *rest, said = painted(new, new.first, *asked)
            if new.origin:
                said += f". It came with {_by(new.own)} pixels, {new.origin}"
            return done, *rest, said, encode(new.first), new.photograph

        @_telling
        def on_open(path: str, size: str, *asked: Any) -> tuple[Any, ...]:
            file = Path(path)
            return opened(studio.open(file.read_bytes(), file.name, size_of(size)), *asked)

        @_telling
        def on_draw(seed: Any, size: str, *asked: Any) -> tuple[Any, ...]:
            return opened(studio.draw(whole(seed, "street number", MAX_STREET), size_of(size)), *asked)

        @_telling
        def on_size(scene: Scene | None, size: str) -> Any:
            size_of(size)
            return gr.skip() if scene is None else f"{_name(scene)} stays; {size} is for the next picture"

        @_telling
        def on_stroke(scene: Scene | None, value: Any, *asked: Any) -> tuple[Any, ...]:
            return painted(scene, decode(value), *asked)

        @_telling
        def on_ask(scene: Scene | None, value: Any, *asked: Any) -> tuple[Any, ...]:
            if scene is None:  # nothing to paint yet: what is asked is asked of the first map
                return (scene, *[gr.skip()] * len(pictures), "")
            lacks = missing(scene, *asked[2:])
            if lacks:
                return (scene, *[gr.skip()] * len(pictures), f"{_name(scene)}: {lacks}")
            return painted(scene, decode(value), *asked)

        @_telling
        def on_style(content: bytes) -> tuple[Any, ...]:
            try:
                return decode_any_photograph(content), OTHER
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

        def on_save(scene: Scene | None) -> Any:
            if scene is None or scene.painting is None:
                raise InputError("there is nothing to save yet; open a photograph, or draw a street")
            name, content = studio.saved(scene)
            folder = Path(tempfile.mkdtemp(prefix="segspade-studio-"))
            (folder / name).write_bytes(content)
            return gr.DownloadButton(value=str(folder / name))

        turn: dict[str, Any] = {
            "concurrency_id": "models",
            "concurrency_limit": 1,
            "api_visibility": "private",
        }
        made = [scene, *pictures, told]
        size.change(on_size, [scene, size], [told], show_progress="hidden", api_visibility="private")
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
            lambda style: (gr.Number(visible=style == DRAWN), gr.UploadButton(visible=style == OTHER)),
            [style],
            [number, choose],
            show_progress="hidden",
            api_visibility="private",
        )
        choose.upload(on_style, [choose], [other, style], **turn)
        run.click(on_cycle, [scene], [scene, second, difference, agreement], **turn)
        save.click(_ending(on_save), [scene], [file], **turn).success(
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


def _name(scene: Scene) -> str:
    return f"**{scene.name}**, {_by(scene.first.shape)}"


def _by(size: tuple[int, ...]) -> str:
    return f"{size[0]}x{size[1]}"


def _telling(work: Callable[..., Any]) -> Callable[..., Any]:
    """What the user can mend becomes a sentence on the page; the rest stays as it was."""

    def told(*arguments: Any) -> Any:
        try:
            return work(*arguments)
        except InputError as error:
            # no error of Gradio's, which covers every picture that would have changed
            gr.Warning(_sentence(error), title="Not done", duration=15)
            return gr.skip()

    return told


def _ending(work: Callable[..., Any]) -> Callable[..., Any]:
    """As `_telling`, and what would have followed does not."""

    def told(*arguments: Any) -> Any:
        try:
            return work(*arguments)
        except InputError as error:
            raise gr.Error(_sentence(error), title="Not done", duration=15, print_exception=False) from error

    return told


def _sentence(error: InputError) -> str:
    # a message may be HTML there, and a name of a file anything
    return html.escape(str(error))
