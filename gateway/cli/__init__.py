"""The command line: `hookmill`."""
