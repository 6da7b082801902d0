package graph_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"usher/messenger/graph"
)

// network is a connection in memory to a server that does as serve says, so that
// time can be virtual.
type network struct {
	serve    func(net.Conn) // the connection is closed when it returns
	refuse   error          // instead of a connection
	hang     bool           // until the dial is given up
	dials    atomic.Int32
	requests atomic.Int32
}

func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	n.dials.Add(1)
	switch {
	case n.refuse != nil:
		return nil, n.refuse
	case n.hang:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	ours, theirs := net.Pipe()
	go func() {
		n.serve(theirs)
		_ = theirs.Close()
	}()
	return ours, nil
}

func (n *network) client(t *testing.T) *graph.Client {
	t.Helper()
	return clientOf(t, graph.Options{BaseURL: "http://localhost"}).Over(t, n.dial, nil)
}

// after reads each request whole and then does what do says.
func (n *network) after(do func(net.Conn)) *network {
	n.serve = func(conn net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		if _, err = io.Copy(io.Discard, r.Body); err == nil {
			n.requests.Add(1)
			do(conn)
		}
	}
	return n
}

// hold keeps the connection until the client gives it up.
func hold(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// say writes text, and then the connection is closed.
func say(text string) func(net.Conn) {
	return func(conn net.Conn) { _, _ = io.WriteString(conn, text) }
}

func send(ctx context.Context, c *graph.Client) error {
	_, err := c.Send(ctx, ada, graph.Message{Text: "hello"})
	return err
}

func readOwner(ctx context.Context, c *graph.Client) error {
	_, err := c.Owner(ctx, ada)
	return err
}

// What was surely not written may be repeated; what may have been written is of
// unknown outcome, if it changes anything.
func TestOutcomeWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		network func() *network
		sent    error // of a POST
		took    time.Duration
	}{
		"dial_refused": {
			network: func() *network { return &network{refuse: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}} },
			sent:    graph.ErrTransient,
		},
		"no_such_host": {
			network: func() *network {
				return &network{refuse: &net.DNSError{Err: "no such host", Name: "graph.facebook.com"}}
			},
			sent: graph.ErrTransient,
		},
		"dial_hangs":         {network: func() *network { return &network{hang: true} }, sent: graph.ErrTransient, took: 5 * time.Second},
		"held":               {network: func() *network { return new(network).after(hold) }, sent: graph.ErrUnknownOutcome, took: graph.DefaultTimeout},
		"closed":             {network: func() *network { return new(network).after(say("")) }, sent: graph.ErrUnknownOutcome},
		"cut_in_status_line": {network: func() *network { return new(network).after(say("HTTP/1.1 2")) }, sent: graph.ErrUnknownOutcome},
		"cut_in_headers":     {network: func() *network { return new(network).after(say("HTTP/1.1 200 OK\r\nContent-Le")) }, sent: graph.ErrUnknownOutcome},
		"cut_in_body": {network: func() *network {
			return new(network).after(say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"mess"))
		}, sent: graph.ErrUnknownOutcome},
		"cut_in_chunk": {network: func() *network {
			return new(network).after(say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{\"mess"))
		}, sent: graph.ErrUnknownOutcome},
		"cut_in_body_of_error": {network: func() *network {
			return new(network).after(say("HTTP/1.1 400 Bad\r\nContent-Length: 100\r\n\r\n{\"error"))
		}, sent: graph.ErrUnknownOutcome},
		"endless": { // the client stops at its own limit
			network: func() *network {
				return new(network).after(func(conn net.Conn) {
					_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n{")
					for spaces := strings.Repeat(" ", 1<<16); err == nil; {
						_, err = io.WriteString(conn, spaces)
					}
				})
			},
			sent: graph.ErrUnknownOutcome,
		},
		"held_in_body": {
			network: func() *network {
				return new(network).after(func(conn net.Conn) {
					say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")(conn)
					hold(conn)
				})
			},
			sent: graph.ErrUnknownOutcome, took: graph.DefaultTimeout,
		},
	}
	for name, tt := range tests {
		for method, call := range map[string]func(context.Context, *graph.Client) error{"post": send, "get": readOwner} {
			t.Run(name+"_"+method, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					n := tt.network()
					began := time.Now()
					err := call(t.Context(), n.client(t))
					want := tt.sent
					if method == "get" {
						want = graph.ErrTransient
					}
					means(t, err, want)
					if n.refuse != nil && !strings.Contains(err.Error(), n.refuse.Error()) {
						t.Errorf("error = %v, want it to tell %v", err, n.refuse)
					}
					if late := tt.took > 0; errors.Is(err, context.DeadlineExceeded) != late {
						t.Errorf("error = %v, want it to wrap %v: %t", err, context.DeadlineExceeded, late)
					}
					if took := time.Since(began); took != tt.took {
						t.Errorf("took %v of virtual time, want %v", took, tt.took)
					}
					if dials := n.dials.Load(); dials != 1 {
						t.Errorf("%d connections, want 1: nothing is tried twice here", dials)
					}
				})
			})
		}
	}
}

func TestOutcomeOfUntrustedCertificate(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(nil)
	config := srv.TLS.Clone()
	srv.Close()
	n := &network{serve: func(conn net.Conn) { _ = tls.Server(conn, config).HandshakeContext(t.Context()) }}
	c := clientOf(t, graph.Options{BaseURL: "https://localhost"}).Over(t, n.dial, nil)
	err := send(t.Context(), c)
	means(t, err, graph.ErrTransient)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		t.Errorf("error = %v, want it to wrap a CertificateVerificationError", err)
	}
}

// A caller that ends a call learns so, unless the deed may be done.
func TestOutcomeOfCancelledCalls(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		network func() *network
		ended   bool // before the call
		timeout bool // the caller's deadline instead of its will
		call    func(context.Context, *graph.Client) error
		want    error
	}{
		"post_before":         {network: func() *network { return new(network).after(hold) }, ended: true, call: send, want: context.Canceled},
		"post_while_dialling": {network: func() *network { return &network{hang: true} }, call: send, want: context.Canceled},
		"post_past_deadline":  {network: func() *network { return &network{hang: true} }, timeout: true, call: send, want: context.DeadlineExceeded},
		"get_once_written":    {network: func() *network { return new(network).after(hold) }, call: readOwner, want: context.Canceled},
		"post_once_written":   {network: func() *network { return new(network).after(hold) }, call: send, want: graph.ErrUnknownOutcome},
		"post_written_late":   {network: func() *network { return new(network).after(hold) }, timeout: true, call: send, want: graph.ErrUnknownOutcome},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := tt.network()
				c := n.client(t)
				ctx, cancel := context.WithCancel(t.Context())
				if tt.timeout {
					ctx, cancel = context.WithTimeout(t.Context(), time.Second)
				}
				defer cancel()
				if tt.ended {
					cancel()
				}
				result := make(chan error, 1)
				go func() { result <- tt.call(ctx, c) }()
				synctest.Wait() // the call waits for its connection or its answer
				if !tt.timeout {
					cancel()
				}
				err := <-result
				if !errors.Is(err, tt.want) {
					t.Errorf("error = %v, want %v", err, tt.want)
				}
				if !errors.Is(err, ctx.Err()) {
					t.Errorf("error = %v, want it to wrap %v, for which the call ended", err, ctx.Err())
				}
				var e *graph.Error
				if answered := errors.As(err, &e); answered != errors.Is(tt.want, graph.ErrUnknownOutcome) {
					t.Errorf("error = %#v, want the context's alone unless the outcome is unknown", err)
				}
				if dials := n.dials.Load(); tt.ended && dials != 0 {
					t.Errorf("%d connections, want none", dials)
				}
			})
		})
	}
}

// What Meta fetches takes longer than what it is told.
func TestUploadWaitsForMetaToFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := new(network).after(hold).client(t).Upload(t.Context(), graph.Media{Type: graph.Video, URL: "https://example.com/v.mp4"})
		means(t, err, graph.ErrUnknownOutcome)
		if took, want := time.Since(began), graph.DefaultTimeout+75*time.Second; took != want {
			t.Errorf("took %v of virtual time, want %v", took, want)
		}
	})
}

// A timeout that is shorter than that of a dial bounds that too.
func TestDialWithinTheTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		n := &network{hang: true}
		c := clientOf(t, graph.Options{BaseURL: "http://localhost", Timeout: time.Second}).Over(t, n.dial, nil)
		means(t, send(t.Context(), c), graph.ErrTransient)
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %v of virtual time, want 1s", took)
		}
	})
}

// A POST whose connection dies is not sent again by the transport, not even on a
// connection that was used before.
func TestPostIsSentOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, sent := &network{}, recorded(t, "sent")
		n.serve = func(conn net.Conn) {
			buffered := bufio.NewReader(conn)
			for {
				r, err := http.ReadRequest(buffered)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				if n.requests.Add(1) > 1 {
					return
				}
				resp := http.Response{StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(sent)), Body: io.NopCloser(strings.NewReader(sent))}
				if err := resp.Write(conn); err != nil {
					return
				}
			}
		}
		c := n.client(t)
		if err := send(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the connection is idle again
		means(t, send(t.Context(), c), graph.ErrUnknownOutcome)
		if requests, dials := n.requests.Load(), n.dials.Load(); requests != 2 || dials != 1 {
			t.Errorf("%d requests on %d connections, want 2 on 1", requests, dials)
		}
	})
}

// What was frozen past its time is not sent when it wakes up, although no timer has
// fired yet.
func TestNothingIsSentPastItsTime(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		own     bool // transport, else that of net/http
		version int  // of HTTP
	}{
		"own": {own: true, version: 1}, "http_1": {version: 1}, "http_2": {version: 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var served atomic.Int32
			sent := recorded(t, "sent")
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, err := io.Copy(io.Discard, r.Body); err != nil || r.ProtoMajor != tt.version {
					return // no server acts on half a request
				}
				served.Add(1)
				_, _ = io.WriteString(w, sent)
			}))
			var transport http.RoundTripper
			if tt.own {
				srv.Start()
			} else {
				srv.EnableHTTP2 = tt.version == 2
				srv.StartTLS()
				transport = srv.Client().Transport
			}
			defer srv.Close()
			var frozen atomic.Int64
			c := clientOf(t, graph.Options{BaseURL: srv.URL, Transport: transport, Now: func() time.Time { return time.Now().Add(time.Duration(frozen.Load())) }})
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			if err := send(ctx, c); err != nil || served.Load() != 1 {
				t.Fatalf("%v, %d requests served; want one", err, served.Load())
			}
			frozen.Store(int64(2 * time.Hour))
			if err := send(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error = %v, want it to wrap %v", err, context.DeadlineExceeded)
			}
			frozen.Store(0)
			if err := send(ctx, c); err != nil || served.Load() != 2 {
				t.Errorf("%v, %d requests served; want the first and the last", err, served.Load())
			}
		})
	}
}

// HTTP/2 repeats a request after some resets if it can have its body again.
func TestPostCannotBeReplayed(t *testing.T) {
	t.Parallel()
	reset := errors.New("stream was reset")
	c := clientOf(t, graph.Options{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.GetBody != nil {
			t.Error("the transport can have the body twice")
		}
		return nil, reset
	})})
	// This transport does not tell whether it wrote.
	err := send(t.Context(), c)
	means(t, err, graph.ErrUnknownOutcome)
	if !errors.Is(err, reset) {
		t.Errorf("error = %v, want it to wrap %v", err, reset)
	}
	means(t, readOwner(t.Context(), c), graph.ErrTransient)
}

// An answer that is read but says nothing, by what the call would change.
func TestOutcomeOfOddAnswers(t *testing.T) {
	t.Parallel()
	const html = "<html><body>Bad Gateway</body></html>"
	tests := map[string]struct {
		status     int
		body       string
		sent, read error
	}{
		"empty":          {status: 200, sent: graph.ErrUnknownOutcome, read: graph.ErrTransient},
		"no_content":     {status: 204, sent: graph.ErrUnknownOutcome, read: graph.ErrTransient},
		"html":           {status: 200, body: html, sent: graph.ErrUnknownOutcome, read: graph.ErrTransient},
		"cut_json":       {status: 200, body: `{"message_id":"m_`, sent: graph.ErrUnknownOutcome, read: graph.ErrTransient},
		"null":           {status: 200, body: `null`, sent: graph.ErrUnknownOutcome, read: graph.ErrTransient},
		"other_type":     {status: 200, body: `{"message_id":7,"data":7}`, sent: graph.ErrUnknownOutcome, read: graph.ErrTransient},
		"too_long":       {status: 200, body: `{"data":[],"x":"` + strings.Repeat("x", 1<<20) + `"}`, sent: graph.ErrUnknownOutcome, read: graph.ErrTransient},
		"500_html":       {status: 500, body: html, sent: graph.ErrUnknownOutcome, read: graph.ErrTransient},
		"502_html":       {status: 502, body: html, sent: graph.ErrUnknownOutcome, read: graph.ErrTransient},
		"503_empty":      {status: 503, sent: graph.ErrUnknownOutcome, read: graph.ErrTransient},
		"504_empty":      {status: 504, sent: graph.ErrUnknownOutcome, read: graph.ErrTransient},
		"500_yes":        {status: 500, body: `{"message_id":"m_1"}`, sent: graph.ErrUnknownOutcome, read: graph.ErrTransient},
		"500_graph":      {status: 500, body: recorded(t, "service_unavailable"), sent: graph.ErrTransient, read: graph.ErrTransient},
		"503_graph":      {status: 503, body: recorded(t, "unheard_of"), sent: graph.ErrTransient, read: graph.ErrTransient},
		"502_graph":      {status: 502, body: recorded(t, "service_unavailable"), sent: graph.ErrUnknownOutcome, read: graph.ErrTransient},
		"504_graph":      {status: 504, body: recorded(t, "unheard_of_but_transient"), sent: graph.ErrUnknownOutcome, read: graph.ErrTransient},
		"502_certain":    {status: 502, body: recorded(t, "not_owner"), sent: graph.ErrNotOwner, read: graph.ErrNotOwner},
		"400_empty":      {status: 400},
		"400_html":       {status: 400, body: html},
		"401_empty":      {status: 401, sent: graph.ErrTokenDead, read: graph.ErrTokenDead},
		"403_html":       {status: 403, body: html, sent: graph.ErrPermission, read: graph.ErrPermission},
		"404_html":       {status: 404, body: html},
		"408_html":       {status: 408, body: html, sent: graph.ErrTransient, read: graph.ErrTransient},
		"413_html":       {status: 413, body: html, sent: graph.ErrBadParameter, read: graph.ErrBadParameter},
		"429_empty":      {status: 429, sent: graph.ErrRateLimited, read: graph.ErrRateLimited},
		"429_unheard_of": {status: 429, body: recorded(t, "unheard_of"), sent: graph.ErrRateLimited, read: graph.ErrRateLimited},
		"401_unheard_of": {status: 401, body: recorded(t, "unheard_of")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, answer(tt.status, tt.body))
			means(t, send(t.Context(), c), tt.sent)
			means(t, readOwner(t.Context(), c), tt.read)
		})
	}
}

func TestTooLongAnswerIsNamed(t *testing.T) {
	t.Parallel()
	err := readOwner(t.Context(), newClient(t, answer(200, strings.Repeat(" ", 1<<20)+`{}`)))
	if err == nil || !strings.Contains(err.Error(), "longer than 1048576 bytes") {
		t.Errorf("error = %v, want it to tell the limit", err)
	}
}

// A 200 without an error is a yes, also where it says little; but success: false
// is none, and an upload without an id is of no use.
func TestTersely(t *testing.T) {
	t.Parallel()
	c := newClient(t, answer(200, `{}`))
	if err := errors.Join(send(t.Context(), c), c.Take(t.Context(), ada, "")); err != nil {
		t.Errorf("a terse yes = %v, want no error", err)
	}
	_, err := c.Upload(t.Context(), graph.Media{Type: graph.Image, URL: "https://example.com/"})
	means(t, err, graph.ErrUnknownOutcome)
	c = newClient(t, answer(200, recorded(t, "success_is_false")))
	means(t, c.Take(t.Context(), ada, ""), graph.ErrTransient)
}

// The transport that New makes by itself works, and keeps its connections.
func TestDefaultTransport(t *testing.T) {
	t.Parallel()
	connections := map[string]bool{}
	sent := recorded(t, "sent")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connections[r.RemoteAddr] = true // one call at a time
		_, _ = io.WriteString(w, sent)
	}))
	defer srv.Close()
	c := clientOf(t, graph.Options{BaseURL: srv.URL})
	for range 5 {
		if err := send(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if len(connections) != 1 {
		t.Errorf("%d connections for 5 calls, want 1", len(connections))
	}
}
