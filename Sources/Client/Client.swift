// Client: see ARCHITECTURE.md.
