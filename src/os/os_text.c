#include "os/os_text.h"

#include <errno.h>  /* E* */
#include <locale.h> /* newlocale */
#include <netdb.h>  /* gai_strerror, EAI_* */
#include <stdio.h>  /* snprintf */
#include <string.h> /* strerror */
#ifdef __APPLE__
#include <xlocale.h> /* uselocale */
#endif

/* Static, or valid until the next strerror(3): the caller copies the text at once. */
static const char *system_text(const struct ss_error *err)
{
    return err->space == SS_RESOLVER ? gai_strerror(err->code) : strerror(err->code);
}

/* In the C locale, for this thread only (uselocale(3)). */
struct c_locale {
    locale_t c, own;
};

static struct c_locale enter_c_locale(void)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return (struct c_locale){ c, c ? uselocale(c) : (locale_t)0 };
}

static void leave_c_locale(struct c_locale entered)
{
    if (!entered.c)
        return;
    uselocale(entered.own);
    freelocale(entered.c);
}

const char *os_error_text(const struct ss_error *err, char *text, size_t size)
{
    struct c_locale entered = enter_c_locale();
    snprintf(text, size, "%s", system_text(err));
    leave_c_locale(entered);
    return text;
}

struct symbol {
    struct ss_error err;
    const char *name;
};

#define SYSTEM(name)               \
    {                              \
        { SS_SYSTEM, name }, #name \
    }
#define RESOLVER(name)               \
    {                                \
        { SS_RESOLVER, name }, #name \
    }

/* Of two names for one number the first counts. */
static const struct symbol symbols[] = {
    /* POSIX, and what all systems have */
    SYSTEM(E2BIG),
    SYSTEM(EACCES),
    SYSTEM(EADDRINUSE),
    SYSTEM(EADDRNOTAVAIL),
    SYSTEM(EAFNOSUPPORT),
    SYSTEM(EAGAIN),
    SYSTEM(EALREADY),
    SYSTEM(EBADF),
    SYSTEM(EBADMSG),
    SYSTEM(EBUSY),
    SYSTEM(ECANCELED),
    SYSTEM(ECHILD),
    SYSTEM(ECONNABORTED),
    SYSTEM(ECONNREFUSED),
    SYSTEM(ECONNRESET),
    SYSTEM(EDEADLK),
    SYSTEM(EDESTADDRREQ),
    SYSTEM(EDOM),
    SYSTEM(EDQUOT),
    SYSTEM(EEXIST),
    SYSTEM(EFAULT),
    SYSTEM(EFBIG),
    SYSTEM(EHOSTUNREACH),
    SYSTEM(EIDRM),
    SYSTEM(EILSEQ),
    SYSTEM(EINPROGRESS),
    SYSTEM(EINTR),
    SYSTEM(EINVAL),
    SYSTEM(EIO),
    SYSTEM(EISCONN),
    SYSTEM(EISDIR),
    SYSTEM(ELOOP),
    SYSTEM(EMFILE),
    SYSTEM(EMLINK),
    SYSTEM(EMSGSIZE),
    SYSTEM(ENAMETOOLONG),
    SYSTEM(ENETDOWN),
    SYSTEM(ENETRESET),
    SYSTEM(ENETUNREACH),
    SYSTEM(ENFILE),
    SYSTEM(ENOBUFS),
    SYSTEM(ENODEV),
    SYSTEM(ENOENT),
    SYSTEM(ENOEXEC),
    SYSTEM(ENOLCK),
    SYSTEM(ENOMEM),
    SYSTEM(ENOMSG),
    SYSTEM(ENOPROTOOPT),
    SYSTEM(ENOSPC),
    SYSTEM(ENOSYS),
    SYSTEM(ENOTCONN),
    SYSTEM(ENOTDIR),
    SYSTEM(ENOTEMPTY),
    SYSTEM(ENOTRECOVERABLE),
    SYSTEM(ENOTSOCK),
    SYSTEM(EOPNOTSUPP),
    SYSTEM(ENOTSUP),
    SYSTEM(ENOTTY),
    SYSTEM(ENXIO),
    SYSTEM(EOVERFLOW),
    SYSTEM(EOWNERDEAD),
    SYSTEM(EPERM),
    SYSTEM(EPIPE),
    SYSTEM(EPROTO),
    SYSTEM(EPROTONOSUPPORT),
    SYSTEM(EPROTOTYPE),
    SYSTEM(ERANGE),
    SYSTEM(EROFS),
    SYSTEM(ESPIPE),
    SYSTEM(ESRCH),
    SYSTEM(ESTALE),
    SYSTEM(ETIMEDOUT),
    SYSTEM(ETXTBSY),
    SYSTEM(EXDEV),
    SYSTEM(EHOSTDOWN),
    SYSTEM(ENOTBLK),
    SYSTEM(EPFNOSUPPORT),
    SYSTEM(EREMOTE),
    SYSTEM(ESHUTDOWN),
    SYSTEM(ESOCKTNOSUPPORT),
    SYSTEM(ETOOMANYREFS),
    SYSTEM(EUSERS),
#ifdef __linux__
    SYSTEM(EADV),
    SYSTEM(EBADE),
    SYSTEM(EBADFD),
    SYSTEM(EBADR),
    SYSTEM(EBADRQC),
    SYSTEM(EBADSLT),
    SYSTEM(EBFONT),
    SYSTEM(ECHRNG),
    SYSTEM(ECOMM),
    SYSTEM(EDOTDOT),
    SYSTEM(EHWPOISON),
    SYSTEM(EISNAM),
    SYSTEM(EKEYEXPIRED),
    SYSTEM(EKEYREJECTED),
    SYSTEM(EKEYREVOKED),
    SYSTEM(EL2HLT),
    SYSTEM(EL2NSYNC),
    SYSTEM(EL3HLT),
    SYSTEM(EL3RST),
    SYSTEM(ELIBACC),
    SYSTEM(ELIBBAD),
    SYSTEM(ELIBEXEC),
    SYSTEM(ELIBMAX),
    SYSTEM(ELIBSCN),
    SYSTEM(ELNRNG),
    SYSTEM(EMEDIUMTYPE),
    SYSTEM(EMULTIHOP),
    SYSTEM(ENAVAIL),
    SYSTEM(ENOANO),
    SYSTEM(ENOCSI),
    SYSTEM(ENODATA),
    SYSTEM(ENOKEY),
    SYSTEM(ENOLINK),
    SYSTEM(ENOMEDIUM),
    SYSTEM(ENONET),
    SYSTEM(ENOPKG),
    SYSTEM(ENOSR),
    SYSTEM(ENOSTR),
    SYSTEM(ENOTNAM),
    SYSTEM(ENOTUNIQ),
    SYSTEM(EREMCHG),
    SYSTEM(EREMOTEIO),
    SYSTEM(ERESTART),
    SYSTEM(ERFKILL),
    SYSTEM(ESRMNT),
    SYSTEM(ESTRPIPE),
    SYSTEM(ETIME),
    SYSTEM(EUCLEAN),
    SYSTEM(EUNATCH),
    SYSTEM(EXFULL),
#endif
    RESOLVER(EAI_AGAIN),
    RESOLVER(EAI_BADFLAGS),
    RESOLVER(EAI_FAIL),
    RESOLVER(EAI_FAMILY),
    RESOLVER(EAI_MEMORY),
    RESOLVER(EAI_NONAME),
    RESOLVER(EAI_OVERFLOW),
    RESOLVER(EAI_SERVICE),
    RESOLVER(EAI_SOCKTYPE),
    RESOLVER(EAI_SYSTEM),
#ifdef EAI_NODATA
    RESOLVER(EAI_NODATA),
#endif
#ifdef EAI_ADDRFAMILY
    RESOLVER(EAI_ADDRFAMILY),
#endif
};

const char *os_error_symbol(const char *text)
{
    const char *name = NULL;
    struct c_locale entered = enter_c_locale();
    for (size_t i = 0; !name && i < sizeof symbols / sizeof *symbols; i++)
        if (strcmp(system_text(&symbols[i].err), text) == 0)
            name = symbols[i].name;
    leave_c_locale(entered);
    return name;
}
