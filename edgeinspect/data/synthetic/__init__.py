"""Synthetic metal: surfaces, defects with pixel masks, and whole data sets of them.

Feeds the demo and the tests, and, pasted onto real good pictures, every choice that must not be
made on real defects. Everything follows from a seed; import from the modules themselves.
"""
