package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"usher/handover/redisstore"
	"usher/handover/storetest"
	"usher/handover/storetest/redistest"
	"usher/messenger"
)

// redisError is what Redis answers.
type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}

// failing makes pipelines fail as fail says. What fail refuses is not sent;
// after tells of pipelines whose reply is what it returns.
type failing struct {
	fail  func(attempt int, cmd redis.Cmder) error
	after func() error
	sent  atomic.Int64
}

func (*failing) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*failing) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (f *failing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		attempt := int(f.sent.Add(1))
		var first error
		var through []redis.Cmder
		for _, cmd := range cmds {
			err := error(nil)
			if f.fail != nil {
				err = f.fail(attempt, cmd)
			}
			if err == nil {
				through = append(through, cmd)
				continue
			}
			cmd.SetErr(err)
			if first == nil {
				first = err
			}
		}
		if len(through) > 0 {
			if err := next(ctx, through); first == nil {
				first = err
			}
		}
		if first == nil && f.after != nil {
			first = f.after()
		}
		return first
	}
}

// What passes by itself is tried again, until it passes; what does not is told
// at once. Time is virtual.
func TestAppendTriesAgain(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err   error
		times int // how often it comes
		sent  int64
		fails bool
	}{
		"a_slot_on_its_way":   {redisError("TRYAGAIN Multiple keys request during rehashing of slot"), 3, 4, false},
		"a_start":             {redisError("LOADING Redis is loading the dataset in memory"), 5, 6, false},
		"a_failover":          {redisError("READONLY You can't write against a read only replica."), 1, 2, false},
		"a_slot_elsewhere":    {redisError("MOVED 1 127.0.0.1:1"), 1, 2, false},
		"a_cluster_in_change": {redisError("CLUSTERDOWN The cluster is down"), 2, 3, false},
		"a_start_for_ever":    {redisError("LOADING Redis is loading the dataset in memory"), 1000, 12, true},
		"a_forgotten_script":  {redisError("NOSCRIPT No matching script."), 1, 2, false},
		"no_script_ever":      {redisError("NOSCRIPT No matching script."), 1000, 2, true},
		"no_memory":           {redisError("OOM command not allowed"), 1, 1, true},
		"a_full_disk":         {redisError("MISCONF Redis is configured to save RDB snapshots"), 1, 1, true},
		"no_replicas":         {redisError("NOREPLICAS Not enough good replicas to write."), 1, 1, true},
		"no_network":          {net.ErrClosed, 1, 1, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := miniredis.NewMiniRedis()
				defer m.Close()
				rdb := dial(t, redis.Options{Addr: "127.0.0.1:1", Dialer: func(context.Context, string, string) (net.Conn, error) { return redistest.Dial(m) }})
				store := open(t, rdb, limits("a"))
				f := &failing{fail: func(attempt int, cmd redis.Cmder) error {
					if attempt <= tt.times && strings.Contains(fmt.Sprint(cmd.Args()...), "{p1}") {
						return tt.err
					}
					return nil
				}}
				rdb.AddHook(f)
				err := store.Append(t.Context(), []messenger.Event{event(threadIn(1, 0), "a"), event(threadIn(2, 0), "b")})
				if (err != nil) != tt.fails || (tt.fails && !errors.Is(err, tt.err)) {
					t.Errorf("Append() = %v, want an error: %v", err, tt.fails)
				}
				if got := f.sent.Load(); got != tt.sent {
					t.Errorf("%d attempts were made, want %d", got, tt.sent)
				}
				for p, want := range map[int]int64{1: 1, 2: 1} {
					if tt.fails && p == 1 {
						want = 0
					}
					if got := rdb.XLen(t.Context(), fmt.Sprintf("a:{p%d}:in", p)).Val(); got != want {
						t.Errorf("%d entries in partition %d, want %d", got, p, want)
					}
				}
				check(t, rdb.Close())
			})
		})
	}
}

// A webhook that has no time left hears so.
func TestAppendEndsWithItsContext(t *testing.T) {
	t.Parallel()
	rdb, _ := mini(t)
	store := open(t, rdb, limits("a"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	loading := redisError("LOADING Redis is loading the dataset in memory")
	rdb.AddHook(&failing{fail: func(attempt int, _ redis.Cmder) error {
		if attempt > 1 {
			cancel()
		}
		return loading
	}})
	err := store.Append(ctx, []messenger.Event{event(threadIn(1, 0), "a")})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, loading) {
		t.Errorf("Append() = %v, want %v and %v", err, context.Canceled, loading)
	}
}

// Whatever else may go wrong with a pipeline: without each reply it is not nil.
func TestAppendTrustsRepliesAlone(t *testing.T) {
	t.Parallel()
	rdb, _ := mini(t)
	store := open(t, rdb, limits("a"))
	lost := errors.New("lost")
	f := &failing{after: func() error { return lost }}
	rdb.AddHook(f)
	events := []messenger.Event{event(threadIn(1, 0), "a"), event(threadIn(2, 0), "b")}
	if err := store.Append(t.Context(), events); !errors.Is(err, lost) {
		t.Errorf("Append() = %v, want %v", err, lost)
	}
	f.after = nil
	check(t, store.Append(t.Context(), events))
	for p := 1; p <= 2; p++ {
		batch, err := store.Read(t.Context(), p, 10)
		check(t, err)
		if got := batch.Entries; len(got) != 2 || got[0].Known || !got[1].Known {
			t.Errorf("entries in partition %d = %+v, want one, and its repeat", p, got)
		}
	}
}

// replicated returns options that want a replica's word.
func replicated(prefix string, wait time.Duration) redisstore.Options {
	o := limits(prefix)
	o.Durability, o.WaitTimeout = redisstore.Replicated, wait
	return o
}

// newStore returns a store that is not opened: Open would rightly mind that these
// servers do not insist on a replica.
func newStore(t *testing.T, rdb redis.UniversalClient, o redisstore.Options) *redisstore.Store {
	t.Helper()
	store, err := redisstore.New(rdb, o)
	check(t, err)
	return store
}

// Stored is what a replica has confirmed; a repeat of what was stored without is
// confirmed as well, and is no duplicate.
func TestReplicated(t *testing.T) {
	t.Parallel()
	primaryAddr := redistest.Start(t, "--repl-diskless-sync-delay", "0")
	primary := dial(t, redis.Options{Addr: primaryAddr, ReadTimeout: time.Minute})
	replica := dial(t, redis.Options{Addr: redistest.Start(t)})
	host, port, err := net.SplitHostPort(primaryAddr)
	check(t, err)
	follow := func() {
		t.Helper()
		check(t, replica.ReplicaOf(t.Context(), host, port).Err())
		check(t, primary.Incr(t.Context(), "mark").Err())
		if n, err := primary.Wait(t.Context(), 1, 30*time.Second).Result(); err != nil || n != 1 {
			t.Fatalf("the replica has not followed: %d, %v", n, err)
		}
	}
	follow()
	const in = "a:{p1}:in"
	key := threadIn(1, 0)
	patient := newStore(t, primary, replicated("a", 2*time.Second))
	check(t, patient.Append(t.Context(), []messenger.Event{event(key, "a")}))
	if got := replica.XLen(t.Context(), in).Val(); got != 1 {
		t.Errorf("the replica has %d entries, want 1", got)
	}

	check(t, replica.ReplicaOf(t.Context(), "no", "one").Err())
	events := []messenger.Event{event(key, "b"), event(threadIn(2, 0), "c")}
	hasty := newStore(t, primary, replicated("a", 20*time.Millisecond))
	for range 2 {
		if err := hasty.Append(t.Context(), events); !errors.Is(err, redisstore.ErrNotReplicated) {
			t.Errorf("Append() without replica = %v, want %v", err, redisstore.ErrNotReplicated)
		}
	}
	if _, _, err := hasty.Acquire(t.Context(), 1, "one", time.Hour); !errors.Is(err, redisstore.ErrNotReplicated) {
		t.Errorf("Acquire() without replica = %v, want %v", err, redisstore.ErrNotReplicated)
	}
	if err := hasty.Command(t.Context(), key, "x", []byte("{}")); !errors.Is(err, redisstore.ErrNotReplicated) {
		t.Errorf("Command() without replica = %v, want %v", err, redisstore.ErrNotReplicated)
	}

	follow()
	if _, held, err := patient.Acquire(t.Context(), 1, "two", time.Hour); !held || err != nil {
		t.Errorf("Acquire() with a replica = %v, %v, want it, as the lease before was given back", held, err)
	}
	check(t, patient.Append(t.Context(), events))
	for _, rdb := range []*redis.Client{primary, replica} {
		if got := rdb.XLen(t.Context(), in).Val(); got != 5 {
			t.Errorf("%s has %d entries, want a, b three times and the command", rdb.Options().Addr, got)
		}
	}
}

// In a cluster WAIT must ask the node that was written to. Here one node has a
// replica and the others have none.
func TestReplicatedInACluster(t *testing.T) {
	t.Parallel()
	cluster := startCluster(t)
	ctx := t.Context()
	store := newStore(t, cluster, replicated("a", 2*time.Second))
	hasty := newStore(t, cluster, replicated("a", 20*time.Millisecond))

	// Partitions by the node that has them.
	byNode := make(map[string][]int)
	for p := range storetest.Partitions {
		node, err := cluster.MasterForKey(ctx, fmt.Sprintf("a:{p%d}:in", p))
		check(t, err)
		byNode[node.Options().Addr] = append(byNode[node.Options().Addr], p)
	}
	safe := anyKey(byNode)
	addReplica(t, safe, fmt.Sprintf("a:{p%d}:mark", byNode[safe][0]))
	for addr, partitions := range byNode {
		var events []messenger.Event
		for _, p := range partitions[:4] {
			events = append(events, event(threadIn(p, 0), "a"))
		}
		if addr == safe {
			if err := store.Append(ctx, events); err != nil {
				t.Errorf("Append() on the node with a replica = %v", err)
			}
			continue
		}
		if err := hasty.Append(ctx, events); !errors.Is(err, redisstore.ErrNotReplicated) {
			t.Errorf("Append() on a node without replica = %v, want %v", err, redisstore.ErrNotReplicated)
		}
	}
	both := []messenger.Event{event(threadIn(byNode[safe][0], 0), "b")}
	for addr, partitions := range byNode {
		if addr != safe {
			both = append(both, event(threadIn(partitions[0], 0), "b"))
		}
	}
	if err := hasty.Append(ctx, both); !errors.Is(err, redisstore.ErrNotReplicated) {
		t.Errorf("Append() on all nodes = %v, want %v", err, redisstore.ErrNotReplicated)
	}
}

func anyKey(m map[string][]int) (key string) {
	for k := range m {
		key = max(key, k)
	}
	return key
}

// addReplica adds a node to a cluster that follows the one at addr, which has
// the slot of key.
func addReplica(t *testing.T, addr, key string) {
	t.Helper()
	ctx := t.Context()
	primary := dial(t, redis.Options{Addr: addr, ReadTimeout: time.Minute})
	check(t, primary.ConfigSet(ctx, "repl-diskless-sync-delay", "0").Err())
	id, err := primary.ClusterMyID(ctx).Result()
	check(t, err)
	replicaAddr := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
	replica := dial(t, redis.Options{Addr: replicaAddr})
	host, port, err := net.SplitHostPort(addr)
	check(t, err)
	check(t, replica.ClusterMeet(ctx, host, port).Err())
	until(t, "the replica knows its primary", func() bool { return replica.ClusterReplicate(ctx, id).Err() == nil })
	check(t, primary.Do(ctx, "set", key, "1").Err())
	until(t, "the replica follows", func() bool { return primary.Wait(ctx, 1, time.Second).Val() == 1 })
}

// until waits for what other processes do.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	giveUp := time.NewTimer(30 * time.Second)
	defer giveUp.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !done() {
		select {
		case <-again.C:
		case <-giveUp.C:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
