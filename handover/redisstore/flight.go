package redisstore

import (
	"context"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"
)

// lanes lets callers who come at the same moment share a round trip, node by node:
// while one pipeline is under way the next one fills. Under load a round trip then
// costs a fraction of a system call for each; a caller who is alone does not wait.
type lanes struct {
	find func(ctx context.Context, key string) (*redis.Client, error)
	// wait makes each flight end with a WAIT; nil where nothing is waited for.
	wait func() *redis.IntCmd

	mu     sync.Mutex
	byNode map[*redis.Client]*lane
}

// maxFlight bounds the commands of one round trip, so that none waits long.
const maxFlight = 256

// lane is the way to one node.
type lane struct {
	node *redis.Client
	wait func() *redis.IntCmd

	mu      sync.Mutex
	waiting []*errand
	flying  bool
}

// errand is one command under way.
type errand struct {
	cmd       *redis.Cmd
	confirmed *redis.IntCmd // of the flight; nil without a WAIT
	landed    func()        // called when it has ended, in the order of the flight; may be nil
	done      chan struct{}
}

func newErrand(cmd *redis.Cmd) *errand { return &errand{cmd: cmd, done: make(chan struct{})} }

// to returns the lane to the node that a key lives on.
func (l *lanes) to(ctx context.Context, key string) (*lane, error) {
	node, err := l.find(ctx, key)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byNode == nil {
		l.byNode = make(map[*redis.Client]*lane)
	}
	if l.byNode[node] == nil {
		l.byNode[node] = &lane{node: node, wait: l.wait}
	}
	return l.byNode[node], nil
}

// start puts errands on the next flight.
func (l *lane) start(errands ...*errand) {
	l.mu.Lock()
	l.waiting = append(l.waiting, errands...)
	first := !l.flying
	l.flying = true
	l.mu.Unlock()
	if first {
		go l.fly()
	}
}

// fly sends what waits until nothing does.
func (l *lane) fly() {
	for {
		l.mu.Lock()
		n := min(len(l.waiting), maxFlight)
		flight := l.waiting[:n:n]
		if l.waiting = l.waiting[n:]; n == 0 {
			l.waiting, l.flying = nil, false
		}
		l.mu.Unlock()
		if n == 0 {
			return
		}
		l.send(flight)
	}
}

// send makes one round trip. It is no caller's alone, so that it heeds nobody's
// context; the client's own timeouts bound it.
func (l *lane) send(flight []*errand) {
	ctx := context.Background()
	pipe := l.node.Pipeline()
	for _, e := range flight {
		_ = pipe.Process(ctx, e.cmd) // queued; it fails with the pipeline
	}
	var confirmed *redis.IntCmd
	if l.wait != nil {
		confirmed = l.wait()
		_ = pipe.Process(ctx, confirmed)
	}
	_, err := pipe.Exec(ctx)
	known := slices.ContainsFunc(flight, func(e *errand) bool { return e.cmd.Err() != nil })
	for _, e := range flight {
		if err != nil && !known { // nobody's own: nothing is sure
			e.cmd.SetErr(err)
		}
		e.confirmed = confirmed
		if e.landed != nil {
			e.landed()
		}
		close(e.done)
	}
}

// result returns when the command has ended, or with ctx's error; then whether it
// took effect is not known, and its cmd must not be looked at.
func (e *errand) result(ctx context.Context) error {
	select {
	case <-e.done:
		return e.cmd.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// script runs one of our scripts, beside what others run. Args are the command, see
// evalSha; they must stay as they are, also after ctx has ended.
func (s *Store) script(ctx context.Context, script *redis.Script, part *partition, args []any) *redis.Cmd {
	lane, err := s.loops.to(ctx, part.meta)
	if err == nil {
		e := newErrand(redis.NewCmd(ctx, args...))
		lane.start(e) //nolint:contextcheck // a flight is nobody's alone
		if err = e.result(ctx); err == nil {
			return e.cmd
		}
	}
	if forgotten(err) || passing(err) {
		return rerun(ctx, s.rdb, script, args) // which knows about both
	}
	cmd := redis.NewCmd(ctx)
	cmd.SetErr(err)
	return cmd
}

// evalSha returns the command that runs a script on keys, with room for so many
// arguments, which follow.
func evalSha(script *redis.Script, keys []any, room int) []any {
	args := make([]any, 0, beforeKeys+len(keys)+room)
	return append(append(args, "evalsha", script.Hash(), len(keys)), keys...)
}

// beforeKeys is how much of a command stands before its keys.
const beforeKeys = 3

// rerun runs what evalSha returned and its arguments by the client's own means.
func rerun(ctx context.Context, rdb redis.Scripter, script *redis.Script, args []any) *redis.Cmd {
	count, _ := args[beforeKeys-1].(int)
	keys := make([]string, count)
	for i, key := range args[beforeKeys : beforeKeys+count] {
		switch key := key.(type) {
		case string:
			keys[i] = key
		case *string:
			keys[i] = *key
		}
	}
	return script.Run(ctx, rdb, keys, args[beforeKeys+count:]...)
}
