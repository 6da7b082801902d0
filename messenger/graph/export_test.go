package graph

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"testing"
	"time"
)

// NewTransport returns a transport like the one that clients share, which trusts
// the given authorities; nil for the system's. Its connections end with the test.
func NewTransport(
	tb testing.TB, dial func(ctx context.Context, network, address string) (net.Conn, error), trusted *x509.CertPool,
) http.RoundTripper {
	tb.Helper()
	t := newTransport(dial, time.Now)
	t.tls.RootCAs = trusted
	tb.Cleanup(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, idle := range t.idle {
			for _, c := range idle {
				_ = c.Close() // nothing is to be read from it
			}
		}
	})
	return t
}
