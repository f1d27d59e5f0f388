"""What apps keep, kept elsewhere too: replicated, pinned, proven, and brought back."""
