"""The process that runs steps, and the sweep that finds what is due."""
