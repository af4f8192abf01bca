import Daemon

DaemonMain.run(BrokerProgram.self)
