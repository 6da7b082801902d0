package graph

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
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

// What all clients share that were given no transport: our own, and net/http's for
// where the environment names a proxy.
//
//nolint:gochecknoglobals // connections are kept across the clients of many Pages
var (
	shared = sync.OnceValue(func() *transport {
		return newTransport(newDialer().DialContext, time.Now) //nolint:forbidigo // it bounds calls as a timer would, and tells how long a connection was idle
	})
	proxied = sync.OnceValue(func() *http.Transport {
		return &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: newDialer().DialContext, ForceAttemptHTTP2: true,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: dialTimeout,
			MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: idleTimeout,
		}
	})
)

func newDialer() *net.Dialer { return &net.Dialer{KeepAlive: 30 * time.Second} }

// transport makes calls over HTTP/1.1, each on the goroutine that wants its answer.
// The one of net/http has two more for each connection, and handing each call from
// one to the next costs more than its two system calls; so do its requests, headers
// and answers, of which hardly anything is used here.
//
// It follows no redirects and repeats nothing.
type transport struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	tls  *tls.Config
	now  func() time.Time

	mu   sync.Mutex
	idle map[string][]*conn // by scheme and host; the one used last is at the end
}

func newTransport(dial func(ctx context.Context, network, address string) (net.Conn, error), now func() time.Time) *transport {
	return &transport{
		dial: dial, now: now, idle: make(map[string][]*conn),
		tls: &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
	}
}

// link is a client's way to Graph over a transport.
type link struct {
	*transport

	root    *url.URL
	origin  string // scheme and host
	prefix  string // of all paths
	secrets func() secrets
}

func newLink(t *transport, root *url.URL, s func() secrets) *link {
	return &link{transport: t, root: root, origin: root.Scheme + "://" + root.Host, prefix: root.EscapedPath(), secrets: s}
}

// conn is a connection to Graph. One call uses it at a time.
type conn struct {
	net.Conn

	r     *bufio.Reader
	left  io.LimitedReader // under r
	since time.Time        // idle
}

func (l *link) exchange(ctx context.Context, x *exchange) (written bool, err error) {
	until, bound := ctx.Deadline()
	var own time.Time // when x's time is over, where ctx does not end before
	if limit := l.now().Add(x.limit); !bound || until.After(limit) {
		until, own = limit, limit
	}
	c := l.take(l.origin, own)
	if c == nil {
		if c, err = l.connect(ctx, l.root, own); err != nil {
			return false, err
		}
	}
	l.compose(x)
	// Once ctx ends, what reads or writes returns.
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	keep := false
	if err = context.DeadlineExceeded; x.now().Before(until) { // a process that was frozen may go on before its timers fire
		written = true
		keep, err = c.call(x)
	}
	if ended := !stop(); ended {
		keep = false
		if err != nil {
			err = context.Cause(ctx)
		}
	}
	if keep {
		l.put(l.origin, c)
		return true, nil
	}
	_ = c.Close() // its answer was read, or the call has failed already
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = context.DeadlineExceeded
	}
	return written, err
}

// compose writes the request into x.out, to be sent in one piece.
func (l *link) compose(x *exchange) {
	out := x.out
	out = append(out, x.method...)
	out = append(out, ' ')
	out = append(out, l.prefix...)
	out = append(out, x.path...)
	if x.query != "" {
		out = append(out, '?')
		out = append(out, x.query...)
	}
	out = append(out, " HTTP/1.1\r\nHost: "...)
	out = append(out, l.root.Host...)
	out = append(out, "\r\n"...)
	if len(x.body) == 0 {
		out = append(out, l.secrets().bareLines...)
	} else {
		out = append(out, l.secrets().fullLines...)
		out = append(out, "Content-Length: "...)
		out = strconv.AppendInt(out, int64(len(x.body)), 10)
		out = append(out, "\r\n"...)
	}
	out = append(out, "\r\n"...)
	out = append(out, x.body...)
	x.out = out
}

// take returns an idle connection that the other side has not closed, to be used until
// a deadline, where there is one; nil if there is none.
func (t *transport) take(key string, deadline time.Time) *conn {
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
		if t.now().Sub(c.since) < idleTimeout && c.SetDeadline(deadline) == nil && quiet(c.Conn) {
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

// connect opens a connection to the host of root, to be used until a deadline, where
// there is one.
func (t *transport) connect(ctx context.Context, root *url.URL, deadline time.Time) (*conn, error) {
	opened := t.now().Add(dialTimeout)
	if !deadline.IsZero() && deadline.Before(opened) {
		opened = deadline
	}
	ctx, cancel := context.WithDeadline(ctx, opened)
	defer cancel()
	port := cmp.Or(root.Port(), map[string]string{"http": "80", "https": "443"}[root.Scheme])
	raw, err := t.dial(ctx, "tcp", net.JoinHostPort(root.Hostname(), port))
	if err != nil {
		return nil, err
	}
	if root.Scheme == "https" {
		config := t.tls.Clone()
		config.ServerName = root.Hostname()
		secure := tls.Client(raw, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, raw.Close())
		}
		raw = secure
	}
	if err := raw.SetDeadline(deadline); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	c := &conn{Conn: raw, left: io.LimitedReader{R: raw}}
	c.r = bufio.NewReaderSize(&c.left, connBuffer)
	return c, nil
}

var errNotHTTP = errors.New("answer is not HTTP/1.1")

// call writes a request and reads its answer; it tells whether another call may
// follow.
func (c *conn) call(x *exchange) (keep bool, err error) {
	if _, err := c.Write(x.out); err != nil {
		return false, err
	}
	c.left.N = maxHeader
	_, _ = c.r.Peek(1) // what fails here fails once more below
	first, _ := c.r.Peek(c.r.Buffered())
	if head, length, plain := x.readHead(first); plain {
		_, _ = c.r.Discard(head) // it is there
		err = c.readBody(x, length)
		return err == nil && c.r.Buffered() == 0, err // no more than was asked for
	}
	return c.readAny(x)
}

// readBody reads the body of an answer whose length is known.
func (c *conn) readBody(x *exchange, length int) error {
	if length > x.room {
		return x.tooLong()
	}
	c.left.N = int64(length)
	x.answer = slices.Grow(x.answer[:0], length)[:length]
	_, err := io.ReadFull(c.r, x.answer)
	return err
}

// readAny reads any answer there may be.
func (c *conn) readAny(x *exchange) (keep bool, err error) {
	for {
		resp, err := http.ReadResponse(c.r, nil) //nolint:bodyclose // it is read, or the connection is closed
		if err != nil {
			return false, err
		}
		if resp.ProtoMajor != 1 || resp.StatusCode == http.StatusSwitchingProtocols {
			return false, errNotHTTP
		}
		if resp.StatusCode/100 == 1 {
			c.left.N = maxHeader
			continue // the answer is to come
		}
		c.left.N = maxConversations + 1 // no answer has more room
		err = x.read(resp)
		return err == nil && !resp.Close && c.r.Buffered() == 0, err
	}
}
