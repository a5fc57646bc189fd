"""Records on disk, the source of truth: what was asked, what it spent, what came out, who runs what."""
