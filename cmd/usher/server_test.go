package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// oneCaller is a listener that one connection comes to.
type oneCaller struct {
	net.Listener

	conn chan net.Conn
	addr net.Addr
}

func (l oneCaller) Accept() (net.Conn, error) {
	if c := <-l.conn; c != nil {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l oneCaller) Close() error   { close(l.conn); return nil }
func (l oneCaller) Addr() net.Addr { return l.addr }

// Who never ends a request, its head or its body, is cut off.
func TestListenersCutOffWhoDribbles(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		says   string
		within time.Duration
	}{
		"head": {"POST /webhook HTTP/1.1\r\nHost: us", readHeaderTimeout},
		"body": {"POST /webhook HTTP/1.1\r\nHost: usher\r\nContent-Length: 100\r\n\r\n{", readTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, conn := net.Pipe()
				l := oneCaller{conn: make(chan net.Conn, 1), addr: conn.LocalAddr()}
				l.conn <- conn
				s := startPublicServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body) // it never ends
				}), l, zerolog.Nop())
				begun := time.Now()
				if _, err := io.WriteString(client, tt.says); err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, client); err != nil || time.Since(begun) > tt.within+time.Second {
					t.Errorf("it is cut off after %v, %v, want %v", time.Since(begun), err, tt.within)
				}
				if err := errors.Join(s.http.Close(), client.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
