// BridgeCore: see ARCHITECTURE.md.
