// AgentCore: see ARCHITECTURE.md.
