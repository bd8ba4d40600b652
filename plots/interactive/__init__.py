"""Figures for a browser, drawn by Bokeh: for the pages of the UI, and for report.html."""
