"""Step 8: the HTTP service and its web page."""
