"""Records, sketches and what is computed from them. numpy; no torch."""
