package graph

import (
	"context"
	"crypto/x509"
	"net"
	"testing"
	"time"
)

// Over returns c, which from now on makes its calls over a transport of its own like
// the one that clients share: it dials so, and trusts the given authorities; nil for
// the system's. Its connections end with the test.
func (c *Client) Over(
	tb testing.TB, dial func(ctx context.Context, network, address string) (net.Conn, error), trusted *x509.CertPool,
) *Client {
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
	c.exchanger = newLink(t, c.root, c.secrets)
	return c
}
