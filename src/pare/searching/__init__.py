"""Jobs that are chosen, batch after batch, by what those before came to."""
