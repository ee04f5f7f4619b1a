"""An adapter after its training, or beside it: found, asked, given away."""
