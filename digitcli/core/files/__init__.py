"""Reading and writing files safely: atomic writes, locks, regular files, validated JSON."""
