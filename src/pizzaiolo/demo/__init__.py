"""The whole workflow on pictures that it renders itself."""
