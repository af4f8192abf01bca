import Daemon

DaemonMain.run(AgentProgram.self)
