"""The command line: one command a file, options that several share in `options`."""
