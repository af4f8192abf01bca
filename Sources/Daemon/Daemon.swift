// Daemon: see ARCHITECTURE.md.
