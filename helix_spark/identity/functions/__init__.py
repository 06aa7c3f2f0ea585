"""What the code of one function tells: what it names and reaches, draws, reads, and does besides returning."""
