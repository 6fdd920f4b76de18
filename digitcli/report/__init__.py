"""What is looked at afterwards: pages for a browser, and the curve of a run."""
