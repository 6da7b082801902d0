package main

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// proxy stands between two ends of TCP, and is where a network fails.
type proxy struct {
	l      net.Listener
	target string

	mu      sync.Mutex
	trouble trouble
	healed  chan struct{} // closed and replaced when trouble changes
	links   map[*link]struct{}
	closed  bool
}

// trouble is what a network does to those who use it.
type trouble struct {
	latency time.Duration // of each piece of data, each way
	refuse  bool          // new connections are closed at once
	swallow bool          // replies are lost: what was asked has happened
	stall   bool          // nothing comes through, and nobody is told
	apart   bool          // likewise, for replicas of Redis alone
}

// link is one connection through a proxy.
type link struct {
	client, server net.Conn
	replica        atomic.Bool // the client is a replica of Redis
}

func (l *link) close() {
	_ = l.client.Close() // whoever was there notices
	_ = l.server.Close()
}

// newProxy listens on a free port of 127.0.0.1.
func newProxy(ctx context.Context, target string) (*proxy, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{l: l, target: target, healed: make(chan struct{}), links: map[*link]struct{}{}}
	go p.accept(ctx)
	return p, nil
}

func (p *proxy) address() string { return p.l.Addr().String() }

func (p *proxy) port() int {
	at, _ := p.l.Addr().(*net.TCPAddr) // it listens on TCP
	return at.Port
}

func (p *proxy) accept(ctx context.Context) {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return // closed
		}
		go p.connect(ctx, client)
	}
}

// dialTimeout is far longer than this machine needs.
const dialTimeout = 5 * time.Second

func (p *proxy) connect(ctx context.Context, client net.Conn) {
	if t, _ := p.now(); t.refuse {
		_ = client.Close()
		return
	}
	server, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{client: client, server: server}
	p.mu.Lock()
	if p.closed || p.trouble.refuse {
		p.mu.Unlock()
		l.close()
		return
	}
	p.links[l] = struct{}{}
	p.mu.Unlock()
	go p.pump(l, server, client, false)
	p.pump(l, client, server, true)
}

// pump carries data one way until either end closes.
func (p *proxy) pump(l *link, to, from net.Conn, replies bool) {
	defer func() {
		l.close()
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if !replies && bytes.Contains(buf[:n], []byte("PSYNC")) {
			l.replica.Store(true)
		}
		if n > 0 && !p.carry(l, to, buf[:n], replies) {
			return
		}
		if err != nil {
			return
		}
	}
}

// carry writes a piece of data as the present trouble has it.
func (p *proxy) carry(l *link, to net.Conn, b []byte, replies bool) bool {
	t, healed := p.now()
	for t.stall || t.apart && l.replica.Load() {
		<-healed
		t, healed = p.now()
	}
	if t.latency > 0 {
		pause := time.NewTimer(t.latency)
		select {
		case <-pause.C:
		case <-healed:
			pause.Stop()
		}
	}
	if t.swallow && replies {
		return true // the connection is cut when the trouble ends
	}
	_, err := to.Write(b)
	return err == nil
}

// now returns the trouble and what tells of its change.
func (p *proxy) now() (t trouble, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble, p.healed
}

// set changes the trouble. Connections whose replies were swallowed are of no use
// any more and are cut.
func (p *proxy) set(t trouble) {
	p.mu.Lock()
	cut := p.trouble.swallow || t.refuse
	p.trouble = t
	close(p.healed)
	p.healed = make(chan struct{})
	p.mu.Unlock()
	if cut {
		p.cut()
	}
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
}

func (p *proxy) close() {
	_ = p.l.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.set(trouble{})
	p.cut()
}
