"""What good parts teach a bundle: the constants of the score rule, and a threshold.

    good_maps.py          good pictures -> error maps, once, kept on disk while they are needed
    training_pictures.py  the pictures that must not calibrate, because they trained
    normalisation.py      error maps -> the mean and spread that they are normalised with
    statistics.py         normalised maps -> statistics (the mean of eq. 8, and others)
    shrinkage.py, rules.py  statistics -> z, local and global score, the score of the rule
    crossfit.py           scores of good parts by constants that have not seen them
    candidates.py, selection.py  which rule: by default, or by synthetic defects
    beta.py, thresholds.py  scores -> a threshold for a stated false-reject rate
    doubts.py             what is doubtful about the pictures, in sentences
    calibrate.py          all of it, in order
    int8.py               then, if asked for, a graph in INT8, with int8_pictures.py (what it is
                          held to), int8_parts.py (what of it), quantising.py, int8_store.py

The NumPy half of the scoring equations (`edgeinspect.scoring` is the torch half). Needs no
torch, so a box beside the line recalibrates itself; the FP32 graph is never touched.
"""
