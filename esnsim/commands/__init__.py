"""The commands of the command line: options, and what runs. Heavy imports wait until a run."""
