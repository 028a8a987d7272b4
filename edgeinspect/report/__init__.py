"""What people look at: charts and pages, each one text without any outside file.

svg.py          marks, one palette, one font
charts.py       ROC curves, and scores by class
overlays.py     heat over a part's picture, and its map as a file
page.py         templates, and the page of the demo, which demo.py makes
run_history.py  what the folder of a run tells; run_charts.py draws it, run_page.py lays it out
"""
