"""Who is logged in, and what they may do."""
