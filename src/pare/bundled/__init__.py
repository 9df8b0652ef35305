"""Files that travel in every bundle; they import nothing of Pare but what travels with them."""
