import Daemon

DaemonMain.run(BridgeProgram.self)
