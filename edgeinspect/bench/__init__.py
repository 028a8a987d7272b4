"""How fast a bundle is on this box, where the time goes, and which settings make a takt time.

variants.py    what is measured: runtime, precision and batch, each an open session
measuring.py   warm-up, then interleaved rounds of all variants
stages.py      every stage of `run`, one part after the other
baseline.py    the unoptimised model that ratios refer to (the only one that needs torch)
bundle_bench.py all of it in order: a bundle in, a `BenchReport` out
folder.py      the report as bench.json, bench.md and bench.html
comparison.py  two reports of one box: what got slower beyond noise
planning.py    which settings meet a deadline, and how many parts a minute they stand
"""
