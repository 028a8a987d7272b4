"""How fast a bundle is on this box, where the time goes, and which settings make a takt time.

pictures.py     what is judged: the user's pictures, else the golden images
variants.py     what is measured: runtime, precision and batch, each an open session
measuring.py    warm-up, then interleaved rounds of all variants; latency.py sums them up
stages.py       every stage of `run`, one part after the other
baseline.py     the unoptimised model that ratios refer to (this and changes.py need torch)
machine.py      the box: what it is, and whether it stood still; nvml.py asks an NVIDIA GPU
energy.py       what inference takes of it; roofline.py, product_graph.py: and of its limits
bundle_bench.py all of it in order: a bundle in, a `BenchReport` (results.py) out; row.py makes
                a variant's row, identity.py names what a signature vouches for
folder.py       the report as bench.json, bench.md and bench.html, with tables.py and charts.py
comparison.py   two reports of one box: what got slower beyond noise
racing.py       two calls against each other

planning.py     which settings meet a deadline: candidates.py judges what was measured, takt.py
                says how many parts a minute they stand, changes.py exports the run otherwise
plan_record.py  what `plan` leaves in a bundle, with pareto_chart.py; planned.py: what `run` takes
"""
