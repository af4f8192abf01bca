// BrokerCore: see ARCHITECTURE.md.
