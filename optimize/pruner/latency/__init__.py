"""Predicts what a network would take in one runtime, precision and number of threads, from networks that were timed.

Some networks of the architecture with random widths and blocks are exported, opened, profiled by layer and timed
(`networks`, `timing`); what they took is kept (`samples`). For each layer, and for what no layer explains, a function
of its widths is fitted to that (`fit`), and their sum predicts any other network (`predict`).
"""
