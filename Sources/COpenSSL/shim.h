// SPDX-License-Identifier: MIT
#pragma once
// libcrypto only: TLS ends at the proxy in front of the services. Every call below exists unchanged
// in OpenSSL 3.0 and later; what 3.0 deprecates is hidden, so using it does not compile.
#ifndef OPENSSL_NO_DEPRECATED
#define OPENSSL_NO_DEPRECATED
#endif
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
