#include "common/x509/openssl.h"

#include <openssl/err.h>

#include "absl/strings/str_cat.h"

namespace espalier::x509 {

absl::Status OpenSslError(absl::string_view what) {
  char text[256] = "no reason given";
  if (unsigned long code = ERR_get_error(); code != 0) ERR_error_string_n(code, text, sizeof(text));
  ERR_clear_error();
  return absl::InternalError(absl::StrCat(what, ": ", text));
}

std::string BioText(BIO* bio) {
  char* data = nullptr;
  long length = BIO_get_mem_data(bio, &data);
  return length > 0 ? std::string(data, static_cast<size_t>(length)) : std::string();
}

}  // namespace espalier::x509
