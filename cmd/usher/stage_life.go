package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"usher/handover"
)

// life is one run of Usher on a stage, from its start until it is stopped, or
// killed as by kill -9: from that instant nothing that it does reaches Redis or
// Meta, and what Meta delivers is cut off.
type life struct {
	rdb    *redis.Client
	hook   http.Handler
	meta   http.RoundTripper
	onCall func(*http.Request) // told of each Graph call before it is made; nil for nobody
	rest   context.CancelFunc  // ends the engine in good order
	ran    chan struct{}       // closed when the engine has ended, with err
	err    error

	mu      sync.Mutex
	idle    sync.Cond // calling is 0
	calling int       // calls to Redis under way; one may need another, to connect
	dead    bool
	killed  chan struct{} // closed once it is
}

// errKilled is what a dead Usher gets for an answer: nothing is its own any more.
var errKilled = fmt.Errorf("killed: %w", handover.ErrLeaseLost)

// begin starts an Usher on the stage.
func (s *stage) begin() (_ *life, err error) {
	rdb := redis.NewClient(&redis.Options{Addr: s.redis})
	l := &life{
		rdb: rdb, meta: s.meta.Client().Transport, onCall: s.observers.call, ran: make(chan struct{}), killed: make(chan struct{}),
	}
	l.idle.L = &l.mu
	rdb.AddHook(l)
	defer func() {
		if err != nil {
			err = errors.Join(err, rdb.Close())
		}
	}()
	store, err := newStore(s.cfg, rdb)
	if err != nil {
		return nil, err
	}
	l.hook, err = newWebhook(s.cfg, s.observers.receive(store), zerolog.Nop(), nil, nil)
	if err != nil {
		return nil, err
	}
	eng, err := newEngine(s.cfg, store, s.script, zerolog.Nop(), witness{line: s.observers.line}, l)
	if err != nil {
		return nil, err
	}
	work, rest := context.WithCancel(context.Background()) // ended by stop or kill
	l.rest = rest
	go func() {
		defer close(l.ran)
		l.err = errors.Join(eng.Run(work), rdb.Close())
	}()
	return l, nil
}

// kill ends it at once: it waits for the calls to Redis that are under way, and
// cuts those to Meta.
func (l *life) kill() {
	l.mu.Lock()
	if !l.dead {
		l.dead = true
		close(l.killed)
	}
	for l.calling > 0 {
		l.idle.Wait()
	}
	l.mu.Unlock()
	l.rest()
}

// stop ends it in good order, unless it is dead.
func (l *life) stop() error {
	l.rest()
	<-l.ran
	if !l.alive() {
		return nil // of the dead, how they ended is no matter
	}
	l.kill() // webhooks are not taken any more
	return l.err
}

func (l *life) alive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.dead
}

// ServeHTTP takes a webhook in. The connection to one that dies is cut.
func (l *life) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.alive() {
		l.hook.ServeHTTP(w, r)
	}
	if !l.alive() { // what was written has not gone yet: see simulator.Meta.Listen
		panic(http.ErrAbortHandler) // net/http's way to end a connection without an answer
	}
}

// RoundTrip makes a Graph call.
func (l *life) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.onCall != nil {
		l.onCall(r)
	}
	ctx, cut := context.WithCancel(r.Context())
	defer cut()
	go func() {
		select {
		case <-l.killed:
			cut()
		case <-ctx.Done():
		}
	}()
	if !l.alive() {
		return nil, errKilled
	}
	return l.meta.RoundTrip(r.WithContext(ctx))
}

// DialHook lets it connect.
func (*life) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook lets it call Redis while it is alive.
func (l *life) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return l.whileAlive([]redis.Cmder{cmd}, func() error { return next(ctx, cmd) })
	}
}

// ProcessPipelineHook does the same for a pipeline.
func (l *life) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return l.whileAlive(cmds, func() error { return next(ctx, cmds) })
	}
}

func (l *life) whileAlive(cmds []redis.Cmder, do func() error) error {
	l.mu.Lock()
	dead := l.dead
	if !dead {
		l.calling++
	}
	l.mu.Unlock()
	if dead {
		for _, c := range cmds {
			c.SetErr(errKilled)
		}
		return errKilled
	}
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.calling--
		if l.calling == 0 {
			l.idle.Broadcast()
		}
	}()
	return do()
}
