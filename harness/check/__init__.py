"""Whether a method keeps the contract: each rule tried on small phantoms, with the place in the author's file."""
