"""The dialogues written for this project, which the first start leaves ready to rate."""
