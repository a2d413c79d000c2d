/* To be preloaded: OpenSSL is of a version that no program was built with. */
unsigned long OpenSSL_version_num(void);
unsigned long OpenSSL_version_num(void)
{
    return 0x90000000UL;
}

const char *OpenSSL_version(int about);
const char *OpenSSL_version(int about)
{
    (void)about;
    return "OpenSSL 9.0.0 of the specs";
}
