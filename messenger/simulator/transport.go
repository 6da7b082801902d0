package simulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
)

// Client returns a client whose requests are answered by m in this process,
// whatever their host: no socket is used, so that it works in a
// [testing/synctest] bubble. It reports GetConn, GotConn (without a Conn),
// WroteHeaders and WroteRequest to an [httptrace.ClientTrace]; an answer that is
// lost is [io.ErrUnexpectedEOF].
func (m *Meta) Client() *http.Client { return &http.Client{Transport: &transport{handler: m}} }

// transport hands requests to a handler as a server would.
type transport struct {
	handler http.Handler
	wg      *sync.WaitGroup // counts the handlers that run, where somebody waits for them
}

// RoundTrip returns when the handler has, or when the request's context ends.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		body, err = io.ReadAll(req.Body)
		if err := errors.Join(err, req.Body.Close()); err != nil {
			return nil, err
		}
	}
	ctx := req.Context()
	if err := written(ctx, req.URL.Host); err != nil {
		return nil, err
	}
	in := req.Clone(ctx)
	in.Body, in.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	in.RequestURI, in.RemoteAddr, in.Host = req.URL.RequestURI(), "127.0.0.1:0", or(req.Host, req.URL.Host)

	var broken error
	out := &response{header: http.Header{}}
	done := make(chan struct{})
	serve := func() {
		defer close(done)
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				broken = io.ErrUnexpectedEOF
			default:
				broken = fmt.Errorf("handler panicked: %v", p)
			}
		}()
		t.handler.ServeHTTP(out, in)
	}
	if t.wg != nil {
		t.wg.Go(serve)
	} else {
		go serve()
	}
	select {
	case <-done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if broken != nil {
		return nil, broken
	}
	out.WriteHeader(http.StatusOK) // unless it was
	return &http.Response{
		Status: fmt.Sprintf("%d %s", out.status, http.StatusText(out.status)), StatusCode: out.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: out.sent,
		Body: io.NopCloser(&out.body), ContentLength: int64(out.body.Len()), Request: req,
	}, nil
}

// written tells a trace what net/http would, up to the written request. A
// request whose context has ended gets no connection.
func written(ctx context.Context, host string) error {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil {
		trace = &httptrace.ClientTrace{}
	}
	if trace.GetConn != nil {
		trace.GetConn(host)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	if trace.WroteHeaders != nil {
		trace.WroteHeaders()
	}
	if trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{})
	}
	return nil
}

// response is what a handler wrote.
type response struct {
	header, sent http.Header
	status       int
	body         bytes.Buffer
}

// Header returns the headers that the next WriteHeader sends.
func (r *response) Header() http.Header { return r.header }

// WriteHeader sends the headers, the first time.
func (r *response) WriteHeader(status int) {
	if r.status == 0 {
		r.status, r.sent = status, r.header.Clone()
	}
}

// Write sends the headers if need be, and b.
func (r *response) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}
