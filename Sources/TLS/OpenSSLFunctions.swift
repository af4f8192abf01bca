import COpenSSL
import Glibc

/// libcrypto and libssl, loaded when something of them is first called and not at the start.
///
/// A broker without TLS and without passwords then saves 2.3 MB of resident memory (see
/// docs/decisions/distribution-libraries.md). The functions below stand in for those of the headers,
/// and have their types.
enum OpenSSLLibrary: String {
    case crypto = "libcrypto.so.3"
    case ssl = "libssl.so.3"

    /// Whether both can be loaded; without them, TLS is an error and not the end of the process.
    static var isAvailable: Bool {
        // SAFETY: loads a library and looks at the answer only; it stays loaded.
        unsafe dlopen(crypto.rawValue, RTLD_NOW) != nil && dlopen(ssl.rawValue, RTLD_NOW) != nil
    }

    /// The address of one function.
    func symbol(_ name: String) -> UnsafeMutableRawPointer {
        // SAFETY: the library stays loaded until the process ends, so that the address stays good.
        let library = unsafe dlopen(rawValue, RTLD_NOW)
        guard let address = unsafe dlsym(library, name) else {
            preconditionFailure("\(rawValue) must have \(name): apt install libssl3")
        }
        return unsafe address
    }
}

// SAFETY: for all that follow, set once, and to the function of that name, whose type the header gives.

nonisolated(unsafe) let ASN1_STRING_get0_data =
    unsafe typed_ASN1_STRING_get0_data(OpenSSLLibrary.crypto.symbol("ASN1_STRING_get0_data"))
nonisolated(unsafe) let ASN1_STRING_length =
    unsafe typed_ASN1_STRING_length(OpenSSLLibrary.crypto.symbol("ASN1_STRING_length"))
nonisolated(unsafe) let ASN1_STRING_to_UTF8 =
    unsafe typed_ASN1_STRING_to_UTF8(OpenSSLLibrary.crypto.symbol("ASN1_STRING_to_UTF8"))
nonisolated(unsafe) let CRYPTO_free =
    unsafe typed_CRYPTO_free(OpenSSLLibrary.crypto.symbol("CRYPTO_free"))
nonisolated(unsafe) let CRYPTO_get_ex_new_index =
    unsafe typed_CRYPTO_get_ex_new_index(OpenSSLLibrary.crypto.symbol("CRYPTO_get_ex_new_index"))
nonisolated(unsafe) let CRYPTO_memcmp =
    unsafe typed_CRYPTO_memcmp(OpenSSLLibrary.crypto.symbol("CRYPTO_memcmp"))
nonisolated(unsafe) let ERR_clear_error =
    unsafe typed_ERR_clear_error(OpenSSLLibrary.crypto.symbol("ERR_clear_error"))
nonisolated(unsafe) let ERR_get_error =
    unsafe typed_ERR_get_error(OpenSSLLibrary.crypto.symbol("ERR_get_error"))
nonisolated(unsafe) let ERR_reason_error_string =
    unsafe typed_ERR_reason_error_string(OpenSSLLibrary.crypto.symbol("ERR_reason_error_string"))
nonisolated(unsafe) let EVP_Digest =
    unsafe typed_EVP_Digest(OpenSSLLibrary.crypto.symbol("EVP_Digest"))
nonisolated(unsafe) let EVP_sha256 =
    unsafe typed_EVP_sha256(OpenSSLLibrary.crypto.symbol("EVP_sha256"))
nonisolated(unsafe) let EVP_sha512 =
    unsafe typed_EVP_sha512(OpenSSLLibrary.crypto.symbol("EVP_sha512"))
nonisolated(unsafe) let GENERAL_NAMES_free =
    unsafe typed_GENERAL_NAMES_free(OpenSSLLibrary.crypto.symbol("GENERAL_NAMES_free"))
nonisolated(unsafe) let GENERAL_NAME_get0_value =
    unsafe typed_GENERAL_NAME_get0_value(OpenSSLLibrary.crypto.symbol("GENERAL_NAME_get0_value"))
nonisolated(unsafe) let HMAC = unsafe typed_HMAC(OpenSSLLibrary.crypto.symbol("HMAC"))
nonisolated(unsafe) let OPENSSL_sk_num =
    unsafe typed_OPENSSL_sk_num(OpenSSLLibrary.crypto.symbol("OPENSSL_sk_num"))
nonisolated(unsafe) let OPENSSL_sk_value =
    unsafe typed_OPENSSL_sk_value(OpenSSLLibrary.crypto.symbol("OPENSSL_sk_value"))
nonisolated(unsafe) let OPENSSL_init_crypto =
    unsafe typed_OPENSSL_init_crypto(OpenSSLLibrary.crypto.symbol("OPENSSL_init_crypto"))
nonisolated(unsafe) let OPENSSL_init_ssl =
    unsafe typed_OPENSSL_init_ssl(OpenSSLLibrary.ssl.symbol("OPENSSL_init_ssl"))
nonisolated(unsafe) let PKCS5_PBKDF2_HMAC =
    unsafe typed_PKCS5_PBKDF2_HMAC(OpenSSLLibrary.crypto.symbol("PKCS5_PBKDF2_HMAC"))
nonisolated(unsafe) let X509_LOOKUP_file =
    unsafe typed_X509_LOOKUP_file(OpenSSLLibrary.crypto.symbol("X509_LOOKUP_file"))
nonisolated(unsafe) let X509_NAME_ENTRY_get_data =
    unsafe typed_X509_NAME_ENTRY_get_data(OpenSSLLibrary.crypto.symbol("X509_NAME_ENTRY_get_data"))
nonisolated(unsafe) let X509_NAME_get_entry =
    unsafe typed_X509_NAME_get_entry(OpenSSLLibrary.crypto.symbol("X509_NAME_get_entry"))
nonisolated(unsafe) let X509_NAME_get_index_by_NID =
    unsafe typed_X509_NAME_get_index_by_NID(
        OpenSSLLibrary.crypto.symbol("X509_NAME_get_index_by_NID"))
nonisolated(unsafe) let X509_STORE_CTX_free =
    unsafe typed_X509_STORE_CTX_free(OpenSSLLibrary.crypto.symbol("X509_STORE_CTX_free"))
nonisolated(unsafe) let X509_STORE_CTX_get_error =
    unsafe typed_X509_STORE_CTX_get_error(OpenSSLLibrary.crypto.symbol("X509_STORE_CTX_get_error"))
nonisolated(unsafe) let X509_STORE_CTX_init =
    unsafe typed_X509_STORE_CTX_init(OpenSSLLibrary.crypto.symbol("X509_STORE_CTX_init"))
nonisolated(unsafe) let X509_STORE_CTX_new =
    unsafe typed_X509_STORE_CTX_new(OpenSSLLibrary.crypto.symbol("X509_STORE_CTX_new"))
nonisolated(unsafe) let X509_STORE_CTX_set_default =
    unsafe typed_X509_STORE_CTX_set_default(
        OpenSSLLibrary.crypto.symbol("X509_STORE_CTX_set_default"))
nonisolated(unsafe) let X509_STORE_CTX_set_flags =
    unsafe typed_X509_STORE_CTX_set_flags(OpenSSLLibrary.crypto.symbol("X509_STORE_CTX_set_flags"))
nonisolated(unsafe) let X509_STORE_add_lookup =
    unsafe typed_X509_STORE_add_lookup(OpenSSLLibrary.crypto.symbol("X509_STORE_add_lookup"))
nonisolated(unsafe) let X509_STORE_set_flags =
    unsafe typed_X509_STORE_set_flags(OpenSSLLibrary.crypto.symbol("X509_STORE_set_flags"))
nonisolated(unsafe) let X509_VERIFY_PARAM_set1_ip_asc =
    unsafe typed_X509_VERIFY_PARAM_set1_ip_asc(
        OpenSSLLibrary.crypto.symbol("X509_VERIFY_PARAM_set1_ip_asc"))
nonisolated(unsafe) let X509_free =
    unsafe typed_X509_free(OpenSSLLibrary.crypto.symbol("X509_free"))
nonisolated(unsafe) let X509_get_ext_d2i =
    unsafe typed_X509_get_ext_d2i(OpenSSLLibrary.crypto.symbol("X509_get_ext_d2i"))
nonisolated(unsafe) let X509_get_subject_name =
    unsafe typed_X509_get_subject_name(OpenSSLLibrary.crypto.symbol("X509_get_subject_name"))
nonisolated(unsafe) let X509_load_crl_file =
    unsafe typed_X509_load_crl_file(OpenSSLLibrary.crypto.symbol("X509_load_crl_file"))
nonisolated(unsafe) let X509_verify_cert =
    unsafe typed_X509_verify_cert(OpenSSLLibrary.crypto.symbol("X509_verify_cert"))
nonisolated(unsafe) let X509_verify_cert_error_string =
    unsafe typed_X509_verify_cert_error_string(
        OpenSSLLibrary.crypto.symbol("X509_verify_cert_error_string"))

nonisolated(unsafe) let SSL_CTX_check_private_key =
    unsafe typed_SSL_CTX_check_private_key(OpenSSLLibrary.ssl.symbol("SSL_CTX_check_private_key"))
nonisolated(unsafe) let SSL_CTX_ctrl =
    unsafe typed_SSL_CTX_ctrl(OpenSSLLibrary.ssl.symbol("SSL_CTX_ctrl"))
nonisolated(unsafe) let SSL_CTX_free =
    unsafe typed_SSL_CTX_free(OpenSSLLibrary.ssl.symbol("SSL_CTX_free"))
nonisolated(unsafe) let SSL_CTX_get_cert_store =
    unsafe typed_SSL_CTX_get_cert_store(OpenSSLLibrary.ssl.symbol("SSL_CTX_get_cert_store"))
nonisolated(unsafe) let SSL_CTX_get_ex_data =
    unsafe typed_SSL_CTX_get_ex_data(OpenSSLLibrary.ssl.symbol("SSL_CTX_get_ex_data"))
nonisolated(unsafe) let SSL_CTX_load_verify_file =
    unsafe typed_SSL_CTX_load_verify_file(OpenSSLLibrary.ssl.symbol("SSL_CTX_load_verify_file"))
nonisolated(unsafe) let SSL_CTX_new =
    unsafe typed_SSL_CTX_new(OpenSSLLibrary.ssl.symbol("SSL_CTX_new"))
nonisolated(unsafe) let SSL_CTX_set_alpn_protos =
    unsafe typed_SSL_CTX_set_alpn_protos(OpenSSLLibrary.ssl.symbol("SSL_CTX_set_alpn_protos"))
nonisolated(unsafe) let SSL_CTX_set_alpn_select_cb =
    unsafe typed_SSL_CTX_set_alpn_select_cb(OpenSSLLibrary.ssl.symbol("SSL_CTX_set_alpn_select_cb"))
nonisolated(unsafe) let SSL_CTX_set_cipher_list =
    unsafe typed_SSL_CTX_set_cipher_list(OpenSSLLibrary.ssl.symbol("SSL_CTX_set_cipher_list"))
nonisolated(unsafe) let SSL_CTX_set_client_CA_list =
    unsafe typed_SSL_CTX_set_client_CA_list(OpenSSLLibrary.ssl.symbol("SSL_CTX_set_client_CA_list"))
nonisolated(unsafe) let SSL_CTX_set_default_passwd_cb =
    unsafe typed_SSL_CTX_set_default_passwd_cb(
        OpenSSLLibrary.ssl.symbol("SSL_CTX_set_default_passwd_cb"))
nonisolated(unsafe) let SSL_CTX_set_default_verify_dir =
    unsafe typed_SSL_CTX_set_default_verify_dir(
        OpenSSLLibrary.ssl.symbol("SSL_CTX_set_default_verify_dir"))
nonisolated(unsafe) let SSL_CTX_set_default_verify_paths =
    unsafe typed_SSL_CTX_set_default_verify_paths(
        OpenSSLLibrary.ssl.symbol("SSL_CTX_set_default_verify_paths"))
nonisolated(unsafe) let SSL_CTX_set_ex_data =
    unsafe typed_SSL_CTX_set_ex_data(OpenSSLLibrary.ssl.symbol("SSL_CTX_set_ex_data"))
nonisolated(unsafe) let SSL_CTX_set_num_tickets =
    unsafe typed_SSL_CTX_set_num_tickets(OpenSSLLibrary.ssl.symbol("SSL_CTX_set_num_tickets"))
nonisolated(unsafe) let SSL_CTX_set_options =
    unsafe typed_SSL_CTX_set_options(OpenSSLLibrary.ssl.symbol("SSL_CTX_set_options"))
nonisolated(unsafe) let SSL_CTX_set_psk_server_callback =
    unsafe typed_SSL_CTX_set_psk_server_callback(
        OpenSSLLibrary.ssl.symbol("SSL_CTX_set_psk_server_callback"))
nonisolated(unsafe) let SSL_CTX_set_session_id_context =
    unsafe typed_SSL_CTX_set_session_id_context(
        OpenSSLLibrary.ssl.symbol("SSL_CTX_set_session_id_context"))
nonisolated(unsafe) let SSL_CTX_set_verify =
    unsafe typed_SSL_CTX_set_verify(OpenSSLLibrary.ssl.symbol("SSL_CTX_set_verify"))
nonisolated(unsafe) let SSL_CTX_use_PrivateKey_file =
    unsafe typed_SSL_CTX_use_PrivateKey_file(
        OpenSSLLibrary.ssl.symbol("SSL_CTX_use_PrivateKey_file"))
nonisolated(unsafe) let SSL_CTX_use_certificate_chain_file =
    unsafe typed_SSL_CTX_use_certificate_chain_file(
        OpenSSLLibrary.ssl.symbol("SSL_CTX_use_certificate_chain_file"))
nonisolated(unsafe) let SSL_ctrl = unsafe typed_SSL_ctrl(OpenSSLLibrary.ssl.symbol("SSL_ctrl"))
nonisolated(unsafe) let SSL_do_handshake =
    unsafe typed_SSL_do_handshake(OpenSSLLibrary.ssl.symbol("SSL_do_handshake"))
nonisolated(unsafe) let SSL_free = unsafe typed_SSL_free(OpenSSLLibrary.ssl.symbol("SSL_free"))
nonisolated(unsafe) let SSL_get0_alpn_selected =
    unsafe typed_SSL_get0_alpn_selected(OpenSSLLibrary.ssl.symbol("SSL_get0_alpn_selected"))
nonisolated(unsafe) let SSL_get0_param =
    unsafe typed_SSL_get0_param(OpenSSLLibrary.ssl.symbol("SSL_get0_param"))
nonisolated(unsafe) let SSL_get1_peer_certificate =
    unsafe typed_SSL_get1_peer_certificate(OpenSSLLibrary.ssl.symbol("SSL_get1_peer_certificate"))
nonisolated(unsafe) let SSL_get_SSL_CTX =
    unsafe typed_SSL_get_SSL_CTX(OpenSSLLibrary.ssl.symbol("SSL_get_SSL_CTX"))
nonisolated(unsafe) let SSL_get_error =
    unsafe typed_SSL_get_error(OpenSSLLibrary.ssl.symbol("SSL_get_error"))
nonisolated(unsafe) let SSL_get_peer_cert_chain =
    unsafe typed_SSL_get_peer_cert_chain(OpenSSLLibrary.ssl.symbol("SSL_get_peer_cert_chain"))
nonisolated(unsafe) let SSL_get_ex_data =
    unsafe typed_SSL_get_ex_data(OpenSSLLibrary.ssl.symbol("SSL_get_ex_data"))
nonisolated(unsafe) let SSL_get_verify_result =
    unsafe typed_SSL_get_verify_result(OpenSSLLibrary.ssl.symbol("SSL_get_verify_result"))
nonisolated(unsafe) let SSL_get_version =
    unsafe typed_SSL_get_version(OpenSSLLibrary.ssl.symbol("SSL_get_version"))
nonisolated(unsafe) let SSL_is_init_finished =
    unsafe typed_SSL_is_init_finished(OpenSSLLibrary.ssl.symbol("SSL_is_init_finished"))
nonisolated(unsafe) let SSL_is_server =
    unsafe typed_SSL_is_server(OpenSSLLibrary.ssl.symbol("SSL_is_server"))
nonisolated(unsafe) let SSL_load_client_CA_file =
    unsafe typed_SSL_load_client_CA_file(OpenSSLLibrary.ssl.symbol("SSL_load_client_CA_file"))
nonisolated(unsafe) let SSL_new = unsafe typed_SSL_new(OpenSSLLibrary.ssl.symbol("SSL_new"))
nonisolated(unsafe) let SSL_pending =
    unsafe typed_SSL_pending(OpenSSLLibrary.ssl.symbol("SSL_pending"))
nonisolated(unsafe) let SSL_read = unsafe typed_SSL_read(OpenSSLLibrary.ssl.symbol("SSL_read"))
nonisolated(unsafe) let SSL_set1_host =
    unsafe typed_SSL_set1_host(OpenSSLLibrary.ssl.symbol("SSL_set1_host"))
nonisolated(unsafe) let SSL_set_accept_state =
    unsafe typed_SSL_set_accept_state(OpenSSLLibrary.ssl.symbol("SSL_set_accept_state"))
nonisolated(unsafe) let SSL_set_connect_state =
    unsafe typed_SSL_set_connect_state(OpenSSLLibrary.ssl.symbol("SSL_set_connect_state"))
nonisolated(unsafe) let SSL_set_ex_data =
    unsafe typed_SSL_set_ex_data(OpenSSLLibrary.ssl.symbol("SSL_set_ex_data"))
nonisolated(unsafe) let SSL_set_fd =
    unsafe typed_SSL_set_fd(OpenSSLLibrary.ssl.symbol("SSL_set_fd"))
nonisolated(unsafe) let SSL_set_hostflags =
    unsafe typed_SSL_set_hostflags(OpenSSLLibrary.ssl.symbol("SSL_set_hostflags"))
nonisolated(unsafe) let SSL_shutdown =
    unsafe typed_SSL_shutdown(OpenSSLLibrary.ssl.symbol("SSL_shutdown"))
nonisolated(unsafe) let SSL_write = unsafe typed_SSL_write(OpenSSLLibrary.ssl.symbol("SSL_write"))
nonisolated(unsafe) let TLS_client_method =
    unsafe typed_TLS_client_method(OpenSSLLibrary.ssl.symbol("TLS_client_method"))
nonisolated(unsafe) let TLS_server_method =
    unsafe typed_TLS_server_method(OpenSSLLibrary.ssl.symbol("TLS_server_method"))
