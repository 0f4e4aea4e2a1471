"""`segspade studio`: a page to paint label maps on, which shows what the generator makes of them.

`scene` holds what is worked on and does the work; `label_canvas` is the map that one paints on, in the
browser; `page` puts both on a page of Gradio, and `serving` serves it.
"""
