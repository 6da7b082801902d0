package graph

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"
)

// exchanger makes calls: through our own [transport], or one of net/http's kind.
type exchanger interface {
	// exchange sends what x asks, once, and reads the answer into it. Redirects are not
	// followed: the token goes to the operator's host alone. Where it fails, it tells
	// whether the request may have been written.
	exchange(ctx context.Context, x *exchange) (written bool, err error)
}

// newExchanger returns the exchanger of a client; transport may be nil.
func newExchanger(transport http.RoundTripper, root *url.URL, s func() secrets) exchanger {
	if transport == nil {
		if proxy, err := http.ProxyFromEnvironment(&http.Request{URL: root}); proxy == nil && err == nil {
			return newLink(shared(), root, s)
		}
		transport = proxied() // which also tells what is wrong with the environment
	}
	return &roundTripper{transport: transport, root: root, secrets: s}
}

// exchange is a request and its answer. Its memory is used again for other calls, but
// for the request's body: a transport may read on after it has returned.
type exchange struct {
	method string
	path   string // after the version
	query  string
	body   []byte           // a JSON object; empty for none
	room   int              // for the answer's body, in bytes
	limit  time.Duration    // of it all
	now    func() time.Time // tells when it is too late to write

	status int
	told   [toldHeaders][]byte // by the headers that are read; nil where they are absent
	answer []byte              // the body

	out  []byte // the request as it is written
	head []byte // of the answer, as it was read
}

// The headers of an answer that are read.
const (
	appUsage = iota
	pageUsage
	businessUsage
	retryAfter
	toldHeaders
)

// maxKept is how much memory an exchange keeps for the next call, in bytes.
const maxKept = 64 << 10

// reset makes x ready for the next call; it tells whether its memory is worth keeping.
func (x *exchange) reset() bool {
	*x = exchange{answer: x.answer[:0], out: x.out[:0], head: x.head[:0]}
	return cap(x.answer)+cap(x.out)+cap(x.head) <= maxKept
}

// read reads the answer of net/http.
func (x *exchange) read(resp *http.Response) (err error) {
	x.status = resp.StatusCode
	for i, name := range [toldHeaders]string{
		appUsage: "X-App-Usage", pageUsage: "X-Page-Usage", businessUsage: "X-Business-Use-Case-Usage", retryAfter: "Retry-After",
	} {
		x.told[i] = []byte(resp.Header.Get(name))
	}
	x.answer, err = io.ReadAll(io.LimitReader(resp.Body, int64(x.room)+1))
	if err == nil && len(x.answer) > x.room {
		err = x.tooLong()
	}
	return err
}

func (x *exchange) tooLong() error { return fmt.Errorf("%w than %d bytes", errTooLong, x.room) }

// roundTripper makes calls through a transport of net/http's kind.
type roundTripper struct {
	transport http.RoundTripper
	root      *url.URL
	secrets   func() secrets
}

func (t *roundTripper) exchange(ctx context.Context, x *exchange) (written bool, err error) {
	if deadline, bound := ctx.Deadline(); !bound || deadline.Sub(x.now()) > x.limit {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, x.limit)
		defer cancel()
	}
	sent := &trace{}
	resp, err := t.transport.RoundTrip(t.request(httptrace.WithClientTrace(ctx, sent.hooks()), x))
	if err != nil {
		return sent.mayBeWritten(), err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read; nothing is left to lose
	return sent.mayBeWritten(), x.read(resp)
}

// request builds a request. It has no GetBody, so that the transport cannot send it
// twice: once read, the body is gone.
func (t *roundTripper) request(ctx context.Context, x *exchange) *http.Request {
	target := *t.root
	target.Path += x.path
	target.RawQuery = x.query
	req := http.Request{
		Method: x.method, URL: &target, Host: target.Host, Header: t.secrets().bare,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if len(x.body) > 0 {
		body := bytes.NewReader(x.body)
		req.Header = t.secrets().full
		req.Body, req.ContentLength = io.NopCloser(&timely{ctx: ctx, now: x.now, body: body}), body.Size()
	}
	return req.WithContext(ctx)
}

// timely is a body that is not handed out once ctx's time is over by the clock. A
// process that was frozen may go on before its timers fire, and what it was about
// to write would still go out, long after another one has taken its place. Neither
// HTTP/1 nor HTTP/2 delivers a request without its body.
type timely struct {
	ctx  context.Context //nolint:containedctx // it is the request's
	now  func() time.Time
	body *bytes.Reader
}

func (t *timely) Read(b []byte) (int, error) {
	if until, ok := t.ctx.Deadline(); ok && !t.now().Before(until) {
		return 0, context.DeadlineExceeded
	}
	return t.body.Read(b)
}

// trace knows whether a request may have been written.
type trace struct{ traced, connected atomic.Bool }

// hooks draws the line where the request is given a connection. The hooks that
// report writing come too late: a call that is cancelled can return before they
// run, and the request still be written.
func (t *trace) hooks() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { t.traced.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { t.connected.Store(true) },
	}
}

// mayBeWritten is true where a transport tells nothing.
func (t *trace) mayBeWritten() bool { return t.connected.Load() || !t.traced.Load() }
