"""From files to token ids: what a learner reads."""
