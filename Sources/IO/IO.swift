// IO: see ARCHITECTURE.md.
