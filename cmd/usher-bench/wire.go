package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// The generator's and the Graph API's side of HTTP/1.1. They share the machine with
// what is measured, and net/http costs more for an exchange than what there is to do
// for it.

// hook posts webhooks to one URL over connections that it keeps.
type hook struct {
	address string
	tls     bool
	head    string // of a request, up to what differs

	mu   sync.Mutex
	idle []*wire
}

// wire is one connection.
type wire struct {
	net.Conn

	r   *bufio.Reader
	buf []byte // of a request
}

// errWire reports what is not HTTP/1.1 as the generator understands it.
var errWire = errors.New("not understood")

// newHook returns a hook for an http or https URL.
func newHook(to string) (*hook, error) {
	u, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	h := &hook{tls: u.Scheme == "https", address: u.Host}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("%w: %q, want http://host/path", errWire, to)
	case u.Port() == "" && h.tls:
		h.address = net.JoinHostPort(u.Hostname(), "443")
	case u.Port() == "":
		h.address = net.JoinHostPort(u.Hostname(), "80")
	}
	h.head = "POST " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host + "\r\nContent-Type: application/json\r\n"
	return h, nil
}

// post posts a body and returns the status of the answer. What was posted on a
// connection that turns out to be closed is posted once more.
func (h *hook) post(ctx context.Context, signature string, body []byte) (status int, err error) {
	for {
		w, kept, err := h.take(ctx)
		if err != nil {
			return 0, err
		}
		status, keep, err := w.post(ctx, h.head, signature, body)
		if err == nil && keep {
			h.mu.Lock()
			h.idle = append(h.idle, w)
			h.mu.Unlock()
			return status, nil
		}
		_ = w.Close() // of no use any more
		if err == nil || !kept || ctx.Err() != nil {
			return status, err
		}
	}
}

// take returns a connection, and whether it was used before.
func (h *hook) take(ctx context.Context) (w *wire, kept bool, err error) {
	h.mu.Lock()
	if n := len(h.idle); n > 0 {
		w, h.idle = h.idle[n-1], h.idle[:n-1]
	}
	h.mu.Unlock()
	if w != nil {
		return w, true, nil
	}
	var conn net.Conn
	if h.tls {
		conn, err = new(tls.Dialer).DialContext(ctx, "tcp", h.address)
	} else {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", h.address)
	}
	if err != nil {
		return nil, false, err
	}
	return &wire{Conn: conn, r: bufio.NewReader(conn)}, false, nil
}

func (h *hook) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.idle {
		_ = w.Close() // nothing is under way
	}
	h.idle = nil
}

func (w *wire) post(ctx context.Context, head, signature string, body []byte) (status int, keep bool, err error) {
	deadline, _ := ctx.Deadline()
	if err := w.SetDeadline(deadline); err != nil {
		return 0, false, err
	}
	w.buf = append(append(append(w.buf[:0], head...), "X-Hub-Signature-256: "...), signature...)
	w.buf = append(strconv.AppendInt(append(w.buf, "\r\nContent-Length: "...), int64(len(body)), 10), "\r\n\r\n"...)
	w.buf = append(w.buf, body...)
	if _, err := w.Write(w.buf); err != nil {
		return 0, false, err
	}
	line, err := w.r.ReadSlice('\n')
	if err != nil {
		return 0, false, err
	}
	const version = len("HTTP/1.1 ")
	if len(line) < version+3 {
		return 0, false, fmt.Errorf("answer: %w: %q", errWire, line)
	}
	if status, err = strconv.Atoi(string(line[version : version+3])); err != nil {
		return 0, false, fmt.Errorf("answer: %w: %q", errWire, line)
	}
	length, closes, err := w.fields()
	if err != nil {
		return status, false, err
	}
	if length < 0 { // its end is that of the connection, or told otherwise
		return status, status/100 == 1 || status == 204, nil
	}
	_, err = w.r.Discard(length)
	return status, !closes, err
}

// fields reads the fields of a head: the length of the body, -1 where it is not told,
// and whether the connection ends with it.
func (w *wire) fields() (length int, closes bool, err error) {
	length = -1
	for {
		line, err := w.r.ReadSlice('\n')
		if err != nil {
			return length, false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return length, closes, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case len(name) == len("content-length") && bytes.EqualFold(name, []byte("content-length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 || length > maxBody {
				return length, closes, fmt.Errorf("length: %w: %q", errWire, value)
			}
		case len(name) == len("connection") && bytes.EqualFold(name, []byte("connection")):
			closes = bytes.EqualFold(value, []byte("close"))
		}
	}
}

// graphServer is a Graph API whose calls all end in the same way.
type graphServer struct {
	answer func(body []byte) []byte // what to answer a body
	delay  time.Duration

	listener net.Listener
	mu       sync.Mutex
	conns    map[net.Conn]struct{} // nil once it is closed
	running  sync.WaitGroup
}

// listenGraph serves a Graph API at an address.
func listenGraph(ctx context.Context, at string, delay time.Duration, answer func(body []byte) []byte) (*graphServer, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	g := &graphServer{answer: answer, delay: delay, listener: l, conns: map[net.Conn]struct{}{}}
	g.running.Go(g.accept)
	return g, nil
}

func (g *graphServer) address() string { return g.listener.Addr().String() }

func (g *graphServer) accept() {
	for {
		conn, err := g.listener.Accept()
		if err != nil {
			return // closed
		}
		g.mu.Lock()
		open := g.conns != nil
		if open {
			g.conns[conn] = struct{}{}
		}
		g.mu.Unlock()
		if !open {
			_ = conn.Close() // it came with the end
			return
		}
		g.running.Go(func() {
			g.serve(&wire{Conn: conn, r: bufio.NewReader(conn)})
			_ = conn.Close() // whoever was there notices
			g.mu.Lock()
			defer g.mu.Unlock()
			delete(g.conns, conn)
		})
	}
}

// serve answers the calls of a connection, until it ends or is not understood.
func (g *graphServer) serve(w *wire) {
	var body []byte
	for {
		if _, err := w.r.ReadSlice('\n'); err != nil {
			return
		}
		length, closes, err := w.fields()
		if err != nil {
			return
		}
		if body = body[:0]; length > 0 {
			body = append(body, make([]byte, length)...)
			if _, err := io.ReadFull(w.r, body); err != nil {
				return
			}
		}
		answer := g.answer(body)
		if g.delay > 0 {
			pause(context.Background(), g.delay)
		}
		w.buf = append(w.buf[:0], "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "...)
		w.buf = append(append(strconv.AppendInt(w.buf, int64(len(answer)), 10), "\r\n\r\n"...), answer...)
		if _, err := w.Write(w.buf); err != nil || closes {
			return
		}
	}
}

// close ends all connections.
func (g *graphServer) close() error {
	err := g.listener.Close()
	g.mu.Lock()
	for conn := range g.conns {
		_ = conn.Close() // whoever was there notices
	}
	g.conns = nil
	g.mu.Unlock()
	g.running.Wait()
	return err
}
