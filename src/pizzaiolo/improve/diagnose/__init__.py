"""What would help: photos, labels, another model or other settings; from held-out answers alone."""
