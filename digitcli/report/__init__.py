"""Files to look at: pages for a browser, the curve of a run, drawings of the preparation."""
