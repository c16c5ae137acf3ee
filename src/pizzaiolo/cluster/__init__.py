"""The same steps on Ray, for data and searches that outgrow one machine."""
