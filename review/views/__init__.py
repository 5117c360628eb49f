"""Pages of the review side: thin; what they do is in actions."""
