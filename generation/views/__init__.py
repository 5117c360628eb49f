"""Pages of the generation side: thin; what they do is in actions, what they count in progress."""
