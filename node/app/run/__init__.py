"""What a run leaves on a disk and takes of a machine: its folder, who runs, what they say."""
