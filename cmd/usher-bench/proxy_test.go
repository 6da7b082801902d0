package main

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// echoServer repeats what it is told, and counts it.
func echoServer(t *testing.T) (address string, got <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	said := make(chan string, 16)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				buf := make([]byte, 64)
				for {
					n, err := conn.Read(buf)
					if err != nil {
						_ = conn.Close()
						return
					}
					said <- string(buf[:n])
					_, _ = conn.Write(buf[:n])
				}
			}()
		}
	}()
	return l.Addr().String(), said
}

// Each trouble does what it says, and ends.
func TestProxy(t *testing.T) {
	t.Parallel()
	address, got := echoServer(t)
	p, err := newProxy(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", p.address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	say := func(conn net.Conn, text string) {
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
	}
	hears := func(conn net.Conn, want string) {
		t.Helper()
		buf := make([]byte, len(want))
		if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != want {
			t.Errorf("hears %q, %v; want %q", buf, err, want)
		}
	}
	closed := func(conn net.Conn) {
		t.Helper()
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reads %d bytes, %v; want the end", n, err)
		}
	}

	conn := dial()
	say(conn, "hello")
	hears(conn, "hello")
	<-got

	p.set(trouble{latency: time.Millisecond})
	say(conn, "slowly")
	hears(conn, "slowly")
	<-got

	p.set(trouble{stall: true})
	say(conn, "later")
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a stalled connection gives %v, want nothing", err)
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	p.set(trouble{})
	hears(conn, "later")
	<-got

	p.set(trouble{swallow: true})
	say(conn, "done")
	if asked := <-got; asked != "done" {
		t.Errorf("the server was told %q, want done", asked)
	}
	p.set(trouble{})
	closed(conn)

	p.set(trouble{refuse: true})
	closed(dial())
	p.set(trouble{})
	conn = dial()
	say(conn, "again")
	hears(conn, "again")
	p.cut()
	closed(conn)
}
