"""Records and statistics -> one static page that opens from a file, without server or network."""
