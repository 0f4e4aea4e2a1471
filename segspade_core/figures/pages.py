"""Where pages come from: templates that escape every name, and refuse one that nobody gave."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def page_templates() -> Environment:
    """The templates of this package."""
    return Environment(
        loader=PackageLoader("segspade_core.figures", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
