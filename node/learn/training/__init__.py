"""What happens between two mixings: steps, their loss, their measure."""
