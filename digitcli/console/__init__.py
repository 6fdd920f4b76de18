"""Everything that draws on a terminal, and the plain lines that stand in for it elsewhere."""
