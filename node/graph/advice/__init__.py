"""What a topology will do and cost before anything runs, and which one to take."""
