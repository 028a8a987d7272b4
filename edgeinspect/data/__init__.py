"""From files to images: reading, folder layouts, tiles, splits, and synthetic metal.

The first step of the flow: picture (a file as decoded) -> tile grid -> images of the model's size.
Knows no torch; import from the modules themselves.
"""
