"""One small file a verb: arguments to config to call; no logic."""
