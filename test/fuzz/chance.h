/* Random numbers of OpenSSL that are the same in each run. */
#ifndef CHANCE_H
#define CHANCE_H

/* From now on OpenSSL has numbers of this stream, ours and the peer's apart (tls_rig_runs_ours), so that a flight of the peer that was
 * recorded fits our next connection. A later call begins the stream again. Without effect where OpenSSL has no such functions. */
void chance_begin(void);

#endif
