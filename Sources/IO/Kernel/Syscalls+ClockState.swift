import CLinux
import Glibc

extension SystemClock {
    /// Whether a time service has set the wall clock and vouches for it, adjtimex(2).
    ///
    /// systemd-timesyncd, ntpd and chronyd (with `rtcsync`, Debian's default) clear the kernel's flag. A sandbox
    /// that protects the clock refuses to show it (`ProtectClock=`); timesyncd says it by a file, too.
    public static var isSynchronized: Bool {
        isFlagged || Files.exists("/run/systemd/timesync/synchronized")
    }

    private static var isFlagged: Bool {
        var state = timex()
        // SAFETY: with no mode set the kernel only fills the struct that lives for the call.
        let result = unsafe adjtimex(&state)
        return result >= 0 && result != TIME_ERROR && state.status & STA_UNSYNC == 0
    }
}
