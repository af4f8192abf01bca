import COpenSSL
import Glibc

/// The texts of OpenSSL's errors, 64 kB: loaded with the first error that is told, and not with the first
/// context.
enum OpenSSLTexts {
    /// Once, before anything else of OpenSSL's is called that would load them.
    static let areLeftOut: Void = {
        // SAFETY: both take flags alone, and say 0 for what has been initialised otherwise already.
        _ = unsafe OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS), nil)
        _ = unsafe OPENSSL_init_ssl(UInt64(OPENSSL_INIT_NO_LOAD_SSL_STRINGS), nil)
    }()

    /// Those of the libraries whose errors TLS brings. One that a later OpenSSL does not have is done
    /// without: its errors are told by number.
    static let areLoaded: Void = {
        load(
            .crypto, ["ERR", "ASN1", "BIO", "CRYPTO", "EC", "EVP", "PEM", "RSA", "X509", "X509V3"])
        load(.ssl, ["SSL"])
    }()

    private typealias Load = @convention(c) () -> Int32

    private static func load(_ library: OpenSSLLibrary, _ names: [String]) {
        // SAFETY: the library stays loaded until the process ends; functions of these names take nothing
        // and give an int, err.h and sslerr.h.
        let handle = unsafe dlopen(library.rawValue, RTLD_NOW)
        for name in names {
            guard let address = unsafe dlsym(handle, "ERR_load_\(name)_strings") else { continue }
            _ = unsafe unsafeBitCast(address, to: Load.self)()
        }
    }
}
