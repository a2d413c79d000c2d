/* Certificates of any kind, as tls.info tells of them: texts, names, dates and numbers are what OpenSSL's other functions, or a few
 * lines here, make of the same certificate.
 *
 * An input: 'd' and a certificate (DER), or the parts of one that is built here: the serial number, two dates, the subject, the
 * subject's alternative names. */
#include "core/addr.h"
#include "fuzz.h"
#include "tls/tls_cert.h"
#include "tls_rig.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 1 << 17, ENTRIES = 8, NAMES = 40 };

/* A text in the making. */
struct text {
    char bytes[TEXT];
    size_t n;
};

static void add(struct text *t, const void *bytes, size_t n)
{
    if (t->n + n > sizeof t->bytes)
        abort();
    memcpy(t->bytes + t->n, bytes, n);
    t->n += n;
}

static void check_text(BIO *bio, const struct text *expected, const char *what)
{
    size_t len;
    const char *text = sstls_text_of(bio, &len);
    CHECKF(len == expected->n && memcmp(text, expected->bytes, len) == 0, "%s: '%.*s', and not '%.*s'", what, (int)len,
           text, (int)expected->n, expected->bytes);
}

/* The same, said in another way */

static void check_pem(const struct sstls_cert *cert, X509 *x509)
{
    size_t len;
    const char *text = sstls_text_of(cert->pem, &len);
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    X509 *again = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    CHECK(again && X509_cmp(again, x509) == 0);
    CHECK(BIO_pending(bio) == 0);
    X509_free(again);
    BIO_free(bio);
}

static void check_digest(const struct sstls_cert *cert, X509 *x509)
{
    unsigned char *der = NULL, digest[EVP_MAX_MD_SIZE];
    char hex[SSTLS_SHA256_HEX] = "";
    unsigned n = 0;
    int len = i2d_X509(x509, &der);
    if (len <= 0 || EVP_Digest(der, (size_t)len, digest, &n, EVP_sha256(), NULL) != 1)
        abort();
    for (unsigned i = 0; i < n; i++)
        snprintf(hex + (size_t)2 * i, 3, "%02x", digest[i]);
    CHECKF(strcmp(hex, cert->sha256) == 0, "%s, and not %s", cert->sha256, hex);
    OPENSSL_free(der);
}

static void check_serial(const struct sstls_cert *cert, const X509 *x509)
{
    static struct text expected;
    const ASN1_INTEGER *serial = X509_get0_serialNumber(x509);
    const unsigned char *bytes = ASN1_STRING_get0_data(serial);
    int at = 0, n = ASN1_STRING_length(serial);
    char digits[3];
    while (at < n && bytes[at] == 0)
        at++;
    expected.n = 0;
    if (at == n)
        add(&expected, "0", 1);
    else if (ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER)
        add(&expected, "-", 1);
    for (; at < n; at++) {
        snprintf(digits, sizeof digits, "%02x", bytes[at]);
        add(&expected, digits, 2);
    }
    check_text(cert->serial, &expected, "serial");
}

/* Days from 1970 on, by the calendar of Gregory. */
static int64_t days_of(int64_t year, int month, int day)
{
    static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    const int64_t past = year + 399; /* whole years since one that can be divided by 400 */
    int64_t days = past * 365 + past / 4 - past / 100 + past / 400 + before[month] + (leap && month > 1) + day - 1;
    return days - 719162 - 146097;
}

static int64_t time_of(const ASN1_TIME *time)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(time, &tm) != 1)
        return SSTLS_NO_TIME;
    return days_of(tm.tm_year + INT64_C(1900), tm.tm_mon, tm.tm_mday) * 86400 + tm.tm_hour * 3600 + tm.tm_min * 60 +
           tm.tm_sec;
}

static bool has_control_byte(const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] < ' ' || bytes[i] == 127)
            return true;
    return false;
}

static void model_name(struct text *names, bool is_address, const unsigned char *bytes, size_t n)
{
    char text[SS_HOST_TEXT];
    if (is_address && (n == 4 || n == 16)) {
        if (!inet_ntop(n == 4 ? AF_INET : AF_INET6, bytes, text, sizeof text))
            abort();
        add(names, text, strlen(text));
        add(names, "\n", 1);
    } else if (!is_address && n > 0 && !has_control_byte(bytes, n)) {
        add(names, bytes, n);
        add(names, "\n", 1);
    }
}

static void check_names(const struct sstls_cert *cert, const X509 *x509)
{
    static struct text expected;
    GENERAL_NAMES *all = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
    expected.n = 0;
    for (int i = 0; all && i < sk_GENERAL_NAME_num(all); i++) {
        int type;
        const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(all, i), &type);
        if (type == GEN_DNS || type == GEN_IPADD)
            model_name(&expected, type == GEN_IPADD, ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
    }
    GENERAL_NAMES_free(all);
    check_text(cert->names, &expected, "names");
}

static bool is_plain_host(const char *name, size_t n)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
    for (size_t i = 0; i < n; i++)
        if (!strchr(letters, name[i]) || (name[i] == '.' && (i == 0 || i + 1 == n || name[i + 1] == '.')))
            return false;
    return n > 0;
}

/* What is told is what OpenSSL takes for a match. */
static void check_matches(const struct sstls_cert *cert, X509 *x509)
{
    size_t len;
    const char *at = sstls_text_of(cert->names, &len), *end = at + len, *stop;
    struct ss_addr addr;
    char text[256];
    for (; at < end && (stop = memchr(at, '\n', (size_t)(end - at))) != NULL; at = stop + 1) {
        const size_t n = (size_t)(stop - at);
        if (n >= sizeof text)
            continue;
        memcpy(text, at, n);
        text[n] = '\0';
        bool numeric = strlen(text) == n && ss_addr_parse(&addr, text, n, 0) == SS_HOST_NUMERIC;
        if (!numeric && is_plain_host(text, n))
            CHECKF(X509_check_host(x509, text, n, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1, "'%s'", text);
    }
}

/* Of somebody's name no byte ends a line, or the text. */
static void check_subject(BIO *subject)
{
    size_t len;
    const char *text = sstls_text_of(subject, &len);
    CHECKF(!has_control_byte((const unsigned char *)text, len), "'%.*s'", (int)len, text);
}

static void check_told(const struct sstls_cert *cert, X509 *x509)
{
    check_pem(cert, x509);
    check_digest(cert, x509);
    check_serial(cert, x509);
    check_names(cert, x509);
    check_matches(cert, x509);
    check_subject(cert->subject);
    check_subject(cert->issuer);
}

static void check_certificate(X509 *x509)
{
    struct sstls_cert cert;
    ERR_clear_error();
    bool done = sstls_cert_init(&cert, x509);
    CHECK(done);
    CHECK(cert.notbefore == time_of(X509_get0_notBefore(x509)));
    CHECK(cert.notafter == time_of(X509_get0_notAfter(x509)));
    check_told(&cert, x509);
    sstls_cert_fini(&cert);
    ERR_clear_error();
}

/* DER as it comes */

static void try_der(const uint8_t *bytes, size_t n)
{
    const unsigned char *at = bytes;
    X509 *x509 = d2i_X509(NULL, &at, (long)n);
    if (x509)
        check_certificate(x509);
    X509_free(x509);
    ERR_clear_error();
}

/* A certificate out of parts, which OpenSSL encodes as they are */

static EVP_PKEY *key_of_rig(void)
{
    static EVP_PKEY *key;
    if (key)
        return key;
    BIO *text = BIO_new_mem_buf(tls_rig_pem(), -1);
    key = text ? PEM_read_bio_PrivateKey(text, NULL, NULL, NULL) : NULL;
    BIO_free(text);
    if (!key)
        abort();
    return key;
}

static void set_serial(X509 *x509, struct input *in)
{
    const unsigned flags = input_byte(in);
    size_t n;
    const uint8_t *bytes = input_bytes(in, flags % 32, &n);
    BIGNUM *number = BN_bin2bn(bytes, (int)n, NULL);
    if (!number)
        abort();
    BN_set_negative(number, flags >= 128);
    if (!BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)))
        abort();
    BN_free(number);
}

/* Digits, mostly of a possible date, or any bytes. */
static ASN1_TIME *take_time(struct input *in)
{
    static const char usual[] = "20260102030405Z";
    const unsigned kind = input_byte(in), skip = kind & 1 ? 0 : 2;
    char text[sizeof usual];
    size_t n;
    memcpy(text, usual, sizeof usual);
    for (unsigned i = kind / 4 % 8; i > 0; i--) {
        const unsigned at = input_byte(in);
        text[at % 15] = (char)input_byte(in);
    }
    const uint8_t *bytes = input_bytes(in, kind & 2 ? input_byte(in) : 0, &n);
    ASN1_TIME *time = ASN1_STRING_type_new(kind & 1 ? V_ASN1_GENERALIZEDTIME : V_ASN1_UTCTIME);
    if (!time || !ASN1_STRING_set(time, kind & 2 ? (const void *)bytes : text + skip, (int)(kind & 2 ? n : 15 - skip)))
        abort();
    return time;
}

static void set_dates(X509 *x509, struct input *in)
{
    ASN1_TIME *begin = take_time(in), *end = take_time(in);
    if (!X509_set1_notBefore(x509, begin) || !X509_set1_notAfter(x509, end))
        abort();
    ASN1_STRING_free(begin);
    ASN1_STRING_free(end);
}

static void set_subject(X509 *x509, struct input *in)
{
    static const int nids[] = { NID_commonName,      NID_organizationName,   NID_countryName,
                                NID_domainComponent, NID_pkcs9_emailAddress, NID_title,
                                NID_serialNumber,    NID_givenName };
    static const int types[] = {
        V_ASN1_UTF8STRING, V_ASN1_PRINTABLESTRING, V_ASN1_IA5STRING,     V_ASN1_T61STRING,
        V_ASN1_BMPSTRING,  V_ASN1_UNIVERSALSTRING, V_ASN1_VISIBLESTRING, V_ASN1_NUMERICSTRING
    };
    X509_NAME *name = X509_get_subject_name(x509);
    for (unsigned i = input_byte(in) % ENTRIES; i > 0; i--) {
        const unsigned kind = input_byte(in);
        size_t n;
        const uint8_t *bytes = input_bytes(in, input_byte(in) % 64, &n);
        X509_NAME_add_entry_by_NID(name, nids[kind % 8], types[kind / 8 % 8], bytes, (int)n, -1, kind >= 128 ? -1 : 0);
    }
}

static void add_name(GENERAL_NAMES *all, unsigned kind, const uint8_t *bytes, size_t n)
{
    static const int types[] = { GEN_DNS, GEN_IPADD, GEN_EMAIL, GEN_URI };
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = kind % 4 == 1 ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    if (!name || !value || !ASN1_STRING_set(value, bytes, (int)n))
        abort();
    GENERAL_NAME_set0_value(name, types[kind % 4], value);
    if (!sk_GENERAL_NAME_push(all, name))
        abort();
}

/* `expected`: what is to be told of them. */
static void set_names(X509 *x509, struct input *in, struct text *expected)
{
    GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
    expected->n = 0;
    for (int i = 0; i < NAMES && in->left > 0; i++) {
        const unsigned kind = input_byte(in);
        const size_t want = kind % 8 == 1 ? 4 : kind % 8 == 5 ? 16 : input_byte(in);
        size_t n;
        const uint8_t *bytes = input_bytes(in, want, &n);
        add_name(all, kind, bytes, n);
        if (kind % 4 < 2)
            model_name(expected, kind % 4 == 1, bytes, n);
    }
    if (sk_GENERAL_NAME_num(all) > 0 && X509_add1_ext_i2d(x509, NID_subject_alt_name, all, 0, X509V3_ADD_DEFAULT) != 1)
        abort();
    GENERAL_NAMES_free(all);
}

static X509 *build(struct input *in, struct text *names)
{
    X509 *x509 = X509_new();
    if (!x509 || !X509_set_version(x509, 2) || !X509_set_pubkey(x509, key_of_rig()))
        abort();
    set_serial(x509, in);
    set_dates(x509, in);
    set_subject(x509, in);
    set_names(x509, in, names);
    if (!X509_set_issuer_name(x509, X509_get_subject_name(x509)))
        ERR_clear_error();
    X509_sign(x509, key_of_rig(), NULL);
    return x509;
}

/* As the peer sends it: one that cannot be encoded, or read again, does not get here. */
static void try_built(struct input *in)
{
    static struct text names;
    unsigned char *der = NULL;
    X509 *x509 = build(in, &names);
    const int n = i2d_X509(x509, &der);
    const unsigned char *at = der;
    X509 *read = n > 0 ? d2i_X509(NULL, &at, n) : NULL;
    struct sstls_cert cert;
    if (read) {
        check_certificate(read);
        if (sstls_cert_init(&cert, read))
            check_text(cert.names, &names, "names as built");
        sstls_cert_fini(&cert);
    }
    X509_free(read);
    X509_free(x509);
    OPENSSL_free(der);
    ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    if (input_byte(&in) == 'd')
        try_der(in.data, in.left);
    else
        try_built(&in);
    return 0;
}
