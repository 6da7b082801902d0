//go:build failpoints

package main

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/handover"
	"usher/handover/engine"
	"usher/messenger"
	"usher/messenger/graph"
	"usher/messenger/webhook"
)

// The places in which this process can be told to die, in the order of an event's
// way through it.
const (
	ingestBefore = "ingest.before" // a delivery was read, nothing of it is stored
	ingestMid    = "ingest.mid"    // some of its partitions are
	ingestAfter  = "ingest.after"  // all of it is, and Meta does not know
	stepAfter    = "step.after"    // something was decided and not committed
	commitAfter  = "commit.after"  // it was, and no call was begun
	sendAfter    = "send.after"    // Meta has answered a call, and nobody knows
)

// failpoints end the process as kill -9 does, at a place that a line on stdin
// names. usher-bench chaos builds with them; no release does.
type failpoints struct{ armed atomic.Pointer[string] }

func (f *failpoints) read() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		place := lines.Text()
		f.armed.Store(&place)
	}
}

func (f *failpoints) at(place string) {
	if !f.is(place) {
		return
	}
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill() // it does not return
	}
	select {}
}

func (f *failpoints) is(place string) bool {
	armed := f.armed.Load()
	return armed != nil && *armed == place
}

// breakable puts failpoints around what serve is made of.
func breakable(rdb redis.UniversalClient, inbox webhook.Inbox, store engine.Store, told *witness) (webhook.Inbox, engine.Store) {
	f := &failpoints{}
	go f.read()
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		cluster.OnNewNode(func(node *redis.Client) { node.AddHook(cutting{f}) })
	} else {
		rdb.AddHook(cutting{f})
	}
	request := told.request
	told.request = func(page messenger.PageID, c graph.Call) {
		if c.Edge == "messages" && c.Err == nil {
			f.at(sendAfter)
		}
		request(page, c)
	}
	return breakableInbox{inbox, f}, breakableStore{store, f}
}

type breakableInbox struct {
	webhook.Inbox

	f *failpoints
}

func (i breakableInbox) Append(ctx context.Context, events []messenger.Event) error {
	i.f.at(ingestBefore)
	err := i.Inbox.Append(ctx, events)
	if err == nil {
		i.f.at(ingestAfter)
	}
	return err
}

type breakableStore struct {
	engine.Store

	f *failpoints
}

func (s breakableStore) Commit(ctx context.Context, c handover.Commit) (handover.Committed, error) {
	s.f.at(stepAfter)
	done, err := s.Store.Commit(ctx, c)
	if err == nil && len(c.Put) > 0 {
		s.f.at(commitAfter)
	}
	return done, err
}

// cutting makes connections to Redis that break off a delivery.
type cutting struct{ f *failpoints }

func (h cutting) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := next(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return breakableConn{c, h.f}, nil
	}
}

func (cutting) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (cutting) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

type breakableConn struct {
	net.Conn

	f *failpoints
}

// Write breaks off where several streams are written to, before the last one.
func (c breakableConn) Write(b []byte) (int, error) {
	if stream := []byte(":in\r\n"); c.f.is(ingestMid) && bytes.Count(b, stream) > 1 {
		_, _ = c.Conn.Write(b[:bytes.LastIndex(b, stream)]) // nobody is left to be told
		time.Sleep(10 * time.Millisecond)                   // Redis reads it
		c.f.at(ingestMid)
	}
	return c.Conn.Write(b)
}
