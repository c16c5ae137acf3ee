"""The review: a sheet on which a person decides, and the page that serves it."""
