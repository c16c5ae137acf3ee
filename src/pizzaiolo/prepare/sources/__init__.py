"""Where pictures come from: folders, archives, tables, addresses and public data sets."""
