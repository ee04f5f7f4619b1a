"""Model and adapter to vectors and back; data, training, evaluation."""
