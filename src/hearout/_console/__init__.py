"""The call on this machine: a line to talk over, a screen to watch it on, files to look at afterwards."""
