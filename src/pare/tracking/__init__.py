"""Trackers: results, mirrored to where a team looks at them."""
