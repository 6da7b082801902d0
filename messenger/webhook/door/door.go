// Package door takes deliveries in at less cost than net/http, which spends as much on
// each as what is to be done with it.
//
//	Accept ─▶ head of the common form? ─yes▶ handler ─▶ answer, in one piece ─▶ the next one
//	                     │no
//	                     ▼
//	              net/http, for the rest of the connection
//
// It knows one form of a request, that in which Meta delivers, and is strict about it
// (request.go): a POST of HTTP/1.1 whose length is told. Whatever is not of that form,
// or is wrong in any way, it leaves to net/http, from its first byte on and with all that
// follows: there is nothing that it refuses by itself, and no leniency of its own.
//
// What it differs in from net/http is that the context of a request does not end when
// who sent it hangs up, and that an answer is written when the handler has ended, not
// before: a handler cannot flush it, nor take the connection over.
package door

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what a [Door] needs. All are required.
type Options struct {
	Handler http.Handler
	// The bounds of [http.Server], with its meanings.
	ReadHeaderTimeout, ReadTimeout, WriteTimeout, IdleTimeout time.Duration
	// Panicked is told what a handler has panicked with, and where. The connection is
	// closed then, as by net/http.
	Panicked func(cause any, stack []byte)
	Now      func() time.Time
}

// Door is a [net.Listener] before an [http.Server], which gets from it the connections
// that the door leaves to it.
type Door struct {
	Options
	net.Listener

	rest     chan net.Conn // to net/http
	faults   chan error    // of Accept
	closed   chan struct{}
	stopping atomic.Bool
	serving  sync.WaitGroup

	mu    sync.Mutex
	conns map[*conn]struct{}
	dates date
}

// New opens a door on a listener, which is then the door's to close.
func New(l net.Listener, o Options) *Door {
	d := &Door{
		Options: o, Listener: l, conns: map[*conn]struct{}{},
		rest: make(chan net.Conn), faults: make(chan error), closed: make(chan struct{}),
	}
	d.serving.Go(d.accept)
	return d
}

func (d *Door) accept() {
	for {
		raw, err := d.Listener.Accept()
		if err != nil {
			select {
			case d.faults <- err: // who takes it waits as long as is wise
				continue
			case <-d.closed:
				return
			}
		}
		c := &conn{Conn: raw, door: d, from: raw.RemoteAddr().String()}
		d.mu.Lock()
		d.conns[c] = struct{}{}
		d.mu.Unlock()
		if d.stopping.Load() { // it came between
			c.hangUp()
		}
		d.serving.Go(c.serve)
	}
}

// Accept returns the next connection that is net/http's.
func (d *Door) Accept() (net.Conn, error) {
	select {
	case c := <-d.rest:
		return c, nil
	case err := <-d.faults:
		return nil, err
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

// Close takes no more connections, closes those on which nothing is under way, and lets
// the others end with what is: see [Door.Wait].
func (d *Door) Close() error {
	if d.stopping.Swap(true) {
		return nil
	}
	err := d.Listener.Close()
	close(d.closed)
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.conns {
		c.hangUp()
	}
	return err
}

// Wait returns after Close once nothing is under way any more. When ctx ends it cuts off
// what still is, and returns ctx's error.
func (d *Door) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() { d.serving.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	d.mu.Lock()
	for c := range d.conns {
		_ = c.Close() // it is cut off
	}
	d.mu.Unlock()
	return ctx.Err()
}

// The states of a connection.
const (
	idle int32 = iota
	busy
	over
)

// conn is a connection as long as the door serves it.
type conn struct {
	net.Conn

	door    *Door
	from    string // address
	r       *bufio.Reader
	w       answer
	state   atomic.Int32
	reading time.Time // until when it may read
	writing time.Time // until when it may write
}

// bufferSize holds a delivery of one event, head and body. A longer head is net/http's.
const bufferSize = 4 << 10

// slack is how much sooner than it should a deadline may come: to set one costs more
// than to look at the clock. It is not for those that a stranger is held to.
const slack = 5 * time.Second

// hangUp closes a connection on which nothing is under way.
func (c *conn) hangUp() {
	if c.state.CompareAndSwap(idle, over) {
		_ = c.Close() // nobody waits for anything
	}
}

// serve answers requests until one is not of the common form.
func (c *conn) serve() {
	theirs := false // net/http's
	defer func() {
		c.door.mu.Lock()
		delete(c.door.conns, c)
		c.door.mu.Unlock()
		if !theirs {
			_ = c.Close() // all that there was to say was said
		}
	}()
	c.r = bufio.NewReaderSize(c.Conn, bufferSize)
	if c.readBy(c.door.Now().Add(c.door.ReadHeaderTimeout), 0) != nil {
		return
	}
	for begun := 1; ; begun = 4 { // bytes of a request; of a later one net/http overlooks fewer
		head, err := c.head(begun)
		if err != nil || !c.state.CompareAndSwap(idle, busy) {
			return
		}
		req, plain := readRequest(head)
		if !plain {
			theirs = c.leave()
			return
		}
		_, _ = c.r.Discard(len(head)) // it is there
		if keep := c.answer(req); !keep {
			return
		}
		c.state.Store(idle)
		if c.door.stopping.Load() {
			c.hangUp()
			return
		}
		if c.readBy(c.door.Now().Add(c.door.IdleTimeout), slack) != nil {
			return
		}
	}
}

// head waits until so many bytes of a request have come, and returns its head, with the
// empty line at its end; all that fits in the buffer where that is not all of it, and so
// not of the common form.
func (c *conn) head(begun int) ([]byte, error) {
	if _, err := c.r.Peek(begun); err != nil {
		return nil, err
	}
	for waited := false; ; {
		b, _ := c.r.Peek(c.r.Buffered())
		n, whole := headLength(b)
		if whole || len(b) == bufferSize {
			return b[:n], nil
		}
		if !waited {
			waited = true
			if err := c.readBy(c.door.Now().Add(c.door.ReadHeaderTimeout), 0); err != nil {
				return nil, err
			}
		}
		switch _, err := c.r.Peek(len(b) + 1); {
		case errors.Is(err, io.EOF):
			return b, nil // net/http knows what to say
		case err != nil:
			return nil, err
		}
	}
}

// leave leaves the connection to net/http, with what was read of it and not answered;
// it tells whether it was taken.
func (c *conn) leave() bool {
	if c.SetDeadline(time.Time{}) != nil {
		return false
	}
	begun, _ := c.r.Peek(c.r.Buffered())
	select {
	case c.door.rest <- &resumed{Conn: c.Conn, begun: begun}:
		return true
	case <-c.door.closed:
		return false
	}
}

// resumed is a connection of which something was read already.
type resumed struct {
	net.Conn

	begun []byte
}

func (r *resumed) Read(b []byte) (int, error) {
	if len(r.begun) == 0 {
		return r.Conn.Read(b)
	}
	n := copy(b, r.begun)
	r.begun = r.begun[n:]
	return n, nil
}

// CloseWrite is what net/http ends a connection with of which it may not have read all:
// the answer would be lost otherwise.
func (r *resumed) CloseWrite() error {
	if c, ok := r.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// answer lets the handler answer a request; it tells whether another may follow.
func (c *conn) answer(req *http.Request) (keep bool) {
	now := c.door.Now()
	body := &body{c: c, left: req.ContentLength}
	if body.left > int64(c.r.Buffered()) && c.readBy(now.Add(c.door.ReadTimeout), 0) != nil {
		return false
	}
	req.Body, req.RemoteAddr = body, c.from
	c.w.reset()
	if !c.handle(req) {
		return false
	}
	known := body.err != nil // to the handler
	whole := body.drain() == nil
	last := c.door.stopping.Load() || !whole && !known
	if by := now.Add(c.door.WriteTimeout); c.writing.Before(by.Add(-slack)) {
		c.writing = by
		if c.SetWriteDeadline(by) != nil {
			return false
		}
	}
	_, err := c.Write(c.w.compose(c.door.dates.at(now), last))
	return err == nil && whole && !last && !c.w.closing()
}

// handle runs the handler, and tells whether it came to its end.
func (c *conn) handle(req *http.Request) (ended bool) {
	defer func() {
		if ended {
			return
		}
		if cause := recover(); cause != nil && cause != http.ErrAbortHandler { //nolint:errorlint,err113 // it is compared as net/http does
			c.door.Panicked(cause, debug.Stack())
		}
	}()
	c.door.Handler.ServeHTTP(&c.w, req)
	return true
}

// readBy sets until when may be read, or somewhat before.
func (c *conn) readBy(t time.Time, slack time.Duration) error {
	if !c.reading.After(t) && !c.reading.Before(t.Add(-slack)) {
		return nil
	}
	c.reading = t
	return c.SetReadDeadline(t)
}
