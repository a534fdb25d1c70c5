// Owners for OpenSSL's objects, and its error queue as text.
#ifndef ESPALIER_COMMON_X509_OPENSSL_H_
#define ESPALIER_COMMON_X509_OPENSSL_H_

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace espalier::x509 {

template <typename T, void (*Free)(T*)>
struct OpenSslFree {
  void operator()(T* p) const { Free(p); }
};
template <typename T, void (*Free)(T*)>
using OpenSslPtr = std::unique_ptr<T, OpenSslFree<T, Free>>;

inline void FreeX509Stack(STACK_OF(X509) * s) { sk_X509_free(s); }  // not the certificates in it
inline void FreeExtensionStack(STACK_OF(X509_EXTENSION) * s) { sk_X509_EXTENSION_pop_free(s, X509_EXTENSION_free); }
inline void FreeBio(BIO* b) { BIO_free_all(b); }

using KeyPtr = OpenSslPtr<EVP_PKEY, EVP_PKEY_free>;
using CertPtr = OpenSslPtr<X509, X509_free>;
using ReqPtr = OpenSslPtr<X509_REQ, X509_REQ_free>;
using NamePtr = OpenSslPtr<X509_NAME, X509_NAME_free>;
using ExtensionPtr = OpenSslPtr<X509_EXTENSION, X509_EXTENSION_free>;
using ExtensionStackPtr = OpenSslPtr<STACK_OF(X509_EXTENSION), FreeExtensionStack>;
using StorePtr = OpenSslPtr<X509_STORE, X509_STORE_free>;
using StoreContextPtr = OpenSslPtr<X509_STORE_CTX, X509_STORE_CTX_free>;
using CertStackPtr = OpenSslPtr<STACK_OF(X509), FreeX509Stack>;
using GeneralNamesPtr = OpenSslPtr<GENERAL_NAMES, GENERAL_NAMES_free>;
using ExtendedUsagePtr = OpenSslPtr<EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free>;
using BioPtr = OpenSslPtr<BIO, FreeBio>;
using MdContextPtr = OpenSslPtr<EVP_MD_CTX, EVP_MD_CTX_free>;

// Internal with `what` and the oldest entry of this thread's error queue, which is emptied.
absl::Status OpenSslError(absl::string_view what);

// A memory BIO's content.
std::string BioText(BIO* bio);

}  // namespace espalier::x509

#endif  // ESPALIER_COMMON_X509_OPENSSL_H_
