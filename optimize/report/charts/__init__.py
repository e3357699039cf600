"""The report's charts, as Vega-Lite: one file each, pure functions of the report."""
