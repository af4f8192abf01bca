import Glibc
import IO
import Sensors
import Testing

/// A temporary folder that looks like /proc and /sys of a Raspberry Pi 4 under Debian 12.
final class RecordedTree {
    let path: String
    let roots: KernelRoots

    init() throws {
        let name = String(
            SystemRandom.bytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }, radix: 16)
        path = "/tmp/fleet-sensors-\(name)"
        roots = KernelRoots(proc: path + "/proc", sys: path + "/sys", root: path)
        for (file, content) in Self.raspberryPi { try write(file, content) }
    }

    deinit { remove(path) }

    private func remove(_ path: String) {
        if let names = try? Files.names(in: path) {
            for name in names { remove(path + "/" + name) }
            unsafe rmdir(path)
        } else {
            unsafe unlink(path)
        }
    }

    func write(_ file: String, _ content: String) throws {
        let full = path + "/" + file
        try Files.makeFolder(Files.folder(of: full))
        delete(file)
        // Without fsync, which is what makes writing many small files slow.
        try AppendingFile(full).append(Array(content.utf8).span)
    }

    func delete(_ file: String) { unsafe unlink(path + "/" + file) }

    /// Puts a FIFO in the file's place: opening it for reading blocks until somebody writes.
    func hang(_ file: String) {
        delete(file)
        unsafe mkfifo(path + "/" + file, 0o600)
    }

    /// Lets whoever hangs in that FIFO go on with `content`, and puts the file back.
    func release(_ file: String, _ content: String) throws {
        let number = unsafe open(path + "/" + file, O_WRONLY | O_NONBLOCK)
        if number >= 0 { close(number) }
        try write(file, content)
    }

    static let temperature = "sys/class/thermal/thermal_zone0/temp"
    static let w1 = "sys/bus/w1/devices/28-0316a2795f12"

    private static let raspberryPi: KeyValuePairs<String, String> = [
        "proc/loadavg": "0.52 0.41 0.30 2/187 4242\n",
        "proc/uptime": "12345.67 45678.90\n",
        "proc/meminfo": """
        MemTotal:        3884376 kB
        MemFree:         2925104 kB
        MemAvailable:    3495938 kB
        Buffers:           45692 kB

        """,
        "proc/cpuinfo": """
        processor\t: 0
        BogoMIPS\t: 108.00

        Hardware\t: BCM2835
        Revision\t: c03114
        Serial\t\t: 100000009abcdef0
        Model\t\t: Raspberry Pi 4 Model B Rev 1.4

        """,
        "proc/sys/kernel/hostname": "raspberrypi\n",
        "proc/sys/kernel/osrelease": "6.12.25+rpt-rpi-v8\n",
        "proc/sys/kernel/random/boot_id": "91a48fdd-5b53-4363-9568-c481b6fdc48b\n",
        "proc/net/fib_trie": """
        Main:
          +-- 0.0.0.0/0 3 0 5
             |-- 127.0.0.1
                /32 host LOCAL
             |-- 192.168.1.7
                /32 host LOCAL
             |-- 192.168.1.255
                /32 link BROADCAST
        Local:
             |-- 192.168.1.7
                /32 host LOCAL

        """,
        "proc/net/if_inet6": """
        00000000000000000000000000000001 01 80 10 80       lo
        20010db8000000000000000000000007 02 40 00 80     eth0
        fe80000000000000dea632fffe112233 02 40 20 80     eth0

        """,
        "sys/firmware/devicetree/base/model": "Raspberry Pi 4 Model B Rev 1.4\0",
        "sys/firmware/devicetree/base/serial-number": "100000009abcdef0\0",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/class/thermal/thermal_zone0/temp": "48312\n",
        "sys/class/hwmon/hwmon0/name": "cpu_thermal\n",
        "sys/class/hwmon/hwmon0/temp1_input": "48312\n",
        "sys/class/hwmon/hwmon10/name": "ads1015\n",
        "sys/class/hwmon/hwmon10/in4_input": "3311\n",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
        "sys/block/mmcblk0/stat": "  5030  2303  462690  12018  4501  6060  200000 60000 0 1 2\n",
        "sys/block/loop0/stat": "  1  2  3  4  5  6  999999 8 9 10 11\n",
        w1 + "/temperature": "23125\n",
        w1 + "/w1_slave": """
        72 01 4b 46 7f ff 0e 10 57 : crc=57 YES
        72 01 4b 46 7f ff 0e 10 57 t=23125

        """,
        "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        "etc/os-release":
            "NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
        "var/lib/dpkg/status": """
        Package: zlib1g
        Status: install ok installed
        Version: 1:1.2.13.dfsg-1

        Package: fleet-agent
        Status: install ok installed
        Version: 0.1.0-1

        Package: gone
        Status: deinstall ok config-files
        Version: 1

        """,
    ]
}
