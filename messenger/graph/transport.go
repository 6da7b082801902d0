package graph

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// Bounds of a [transport].
const (
	dialTimeout = 5 * time.Second  // of a connection, TLS included
	idleTimeout = 50 * time.Second // less than a minute, after which many load balancers hang up
	maxIdle     = 1024             // connections to a host
	maxHeader   = 64 << 10         // bytes
	connBuffer  = 4 << 10          // likewise
)

// shared returns the transport of all clients that were given none.
//
//nolint:gochecknoglobals // connections are kept across the clients of many Pages
var shared = sync.OnceValue(func() *transport {
	return newTransport((&net.Dialer{KeepAlive: 30 * time.Second}).DialContext, time.Now) //nolint:forbidigo // its clock only tells how long a connection was idle
})

// transport makes calls over HTTP/1.1, each on the goroutine that wants its answer.
// The one of net/http has two more for each connection, and handing each call from
// one to the next costs more than its two system calls. Where the environment names
// a proxy, net/http's is used.
//
// It follows no redirects and repeats nothing. An answer is read whole, up to
// maxConversations, so that callers need not close its body.
type transport struct {
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	tls     *tls.Config
	proxied *http.Transport
	now     func() time.Time

	mu   sync.Mutex
	idle map[string][]*conn // by scheme and host; the one used last is at the end
}

func newTransport(dial func(ctx context.Context, network, address string) (net.Conn, error), now func() time.Time) *transport {
	return &transport{
		dial: dial, now: now, idle: make(map[string][]*conn),
		tls: &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
		proxied: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dial, ForceAttemptHTTP2: true,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: dialTimeout,
			MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: idleTimeout,
		},
	}
}

// conn is a connection to Graph. One call uses it at a time.
type conn struct {
	net.Conn

	r     *bufio.Reader
	w     *bufio.Writer
	left  io.LimitedReader // under r
	since time.Time        // idle
}

// RoundTrip makes one call.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if proxy, err := http.ProxyFromEnvironment(req); proxy != nil || err != nil {
		return t.proxied.RoundTrip(req)
	}
	ctx := req.Context()
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.GetConn != nil {
		trace.GetConn(req.URL.Host)
	}
	key := req.URL.Scheme + "://" + req.URL.Host
	c := t.take(key)
	reused := c != nil
	if c == nil {
		var err error
		if c, err = t.connect(ctx, req); err != nil {
			return nil, err
		}
	}
	if trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: c.Conn, Reused: reused})
	}
	// Once ctx ends, what reads or writes returns.
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	resp, err := c.call(req)
	ended := !stop()
	if err != nil {
		_ = c.Close() // the call has failed already
		if ended {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	if ended || resp.Close {
		_ = c.Close() // its answer was read
	} else {
		t.put(key, c)
	}
	return resp, nil
}

// take returns an idle connection that the other side has not closed; nil if there
// is none.
func (t *transport) take(key string) *conn {
	for {
		t.mu.Lock()
		idle := t.idle[key]
		if len(idle) == 0 {
			t.mu.Unlock()
			return nil
		}
		c := idle[len(idle)-1]
		t.idle[key] = idle[:len(idle)-1]
		t.mu.Unlock()
		if t.now().Sub(c.since) < idleTimeout && quiet(c.Conn) {
			return c
		}
		_ = c.Close() // nothing is to be read from it
	}
}

// put keeps a connection for the next call.
func (t *transport) put(key string, c *conn) {
	c.since = t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	idle := t.idle[key]
	if len(idle) > 0 && (len(idle) == maxIdle || c.since.Sub(idle[0].since) >= idleTimeout) {
		_ = idle[0].Close() // the one used longest ago
		idle = append(idle[:0], idle[1:]...)
	}
	t.idle[key] = append(idle, c)
}

// connect opens a connection.
func (t *transport) connect(ctx context.Context, req *http.Request) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	port := cmp.Or(req.URL.Port(), map[string]string{"http": "80", "https": "443"}[req.URL.Scheme])
	raw, err := t.dial(ctx, "tcp", net.JoinHostPort(req.URL.Hostname(), port))
	if err != nil {
		return nil, err
	}
	if req.URL.Scheme == "https" {
		config := t.tls.Clone()
		config.ServerName = req.URL.Hostname()
		secure := tls.Client(raw, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, raw.Close())
		}
		raw = secure
	}
	c := &conn{Conn: raw, w: bufio.NewWriterSize(raw, connBuffer), left: io.LimitedReader{R: raw}}
	c.r = bufio.NewReaderSize(&c.left, connBuffer)
	return c, nil
}

var errNotHTTP = errors.New("answer is not HTTP/1.1")

// call writes a request and reads its answer.
func (c *conn) call(req *http.Request) (*http.Response, error) {
	if err := c.write(req); err != nil {
		return nil, err
	}
	for {
		c.left.N = maxHeader
		resp, err := http.ReadResponse(c.r, req)
		if err != nil {
			return nil, err
		}
		if resp.ProtoMajor != 1 || resp.StatusCode == http.StatusSwitchingProtocols {
			return nil, errNotHTTP
		}
		if resp.StatusCode/100 == 1 {
			continue // the answer is to come
		}
		c.left.N = maxConversations + 1 // no answer has more room
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, err
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
		resp.Close = resp.Close || c.r.Buffered() > 0 // more than was asked for
		return resp, nil
	}
}

// write writes a request.
func (c *conn) write(req *http.Request) error {
	_, _ = fmt.Fprintf(c.w, "%s %s HTTP/1.1\r\nHost: %s\r\n", req.Method, req.URL.RequestURI(), req.URL.Host) // Flush tells
	_ = req.Header.Write(c.w)                                                                                 // likewise
	if req.Body == nil {
		_, _ = c.w.WriteString("\r\n") // likewise
		return c.w.Flush()
	}
	_, _ = fmt.Fprintf(c.w, "Content-Length: %d\r\n\r\n", req.ContentLength) // likewise
	_, err := io.CopyN(c.w, req.Body, req.ContentLength)
	if err := errors.Join(err, req.Body.Close()); err != nil {
		return err
	}
	return c.w.Flush()
}
