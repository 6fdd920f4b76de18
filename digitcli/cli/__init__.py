"""One module per subcommand: each parses its options, calls the core and renders the result."""
