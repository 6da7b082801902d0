package redisstore

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/handover"
)

//go:embed acquire.lua
var acquireSource string

//go:embed renew.lua
var renewSource string

//go:embed release.lua
var releaseSource string

var (
	acquireScript = redis.NewScript(acquireSource)
	renewScript   = redis.NewScript(renewSource)
	releaseScript = redis.NewScript(releaseSource)
)

// errReply reports a reply that no script of ours gives.
var errReply = errors.New("unexpected reply of Redis")

// Acquire takes partition p for ttl by the clock of Redis, unless another token
// holds it: then held is false. It refuses with [handover.ErrNewerSchema] what a
// newer version has written. A repeat with the same token succeeds, and prolongs
// the lease.
//
// Where Options.Durability is Replicated a lease that too few replicas confirm is
// given back, with [ErrNotReplicated].
//
// The random token is the fence: after a failover that lost the last acquisition
// a counter might repeat, a random token cannot.
func (s *Store) Acquire(ctx context.Context, p int, token string, ttl time.Duration) (lease handover.Lease, held bool, err error) {
	if token == "" {
		return lease, false, fmt.Errorf("acquire partition %d: %w: no token", p, handover.ErrLeaseLost)
	}
	began := s.now()
	reply, unconfirmed, err := s.acquire(ctx, &s.partitions[p], token, ttl)
	switch {
	case err != nil:
	case len(reply) == 1 && reply[0] == "held":
		return lease, false, nil
	case len(reply) == 2 && reply[0] == "newer":
		err = fmt.Errorf("%w: schema %s, this one knows %d", handover.ErrNewerSchema, reply[1], schema)
	case len(reply) == 4 && reply[0] == "ours":
		lease = handover.Lease{Partition: p, Token: token, Clean: reply[3] == "1"}
		var epochErr, seqErr error
		lease.Epoch, epochErr = strconv.ParseInt(reply[1], 10, 64)
		lease.Seq, seqErr = strconv.ParseInt(reply[2], 10, 64)
		err = errors.Join(epochErr, seqErr)
	default:
		err = fmt.Errorf("%w: %q", errReply, reply)
	}
	if err == nil && unconfirmed != nil {
		err = errors.Join(unconfirmed, s.Release(ctx, lease, lease.Clean)) // others may have it at once
	}
	if err != nil {
		return handover.Lease{}, false, fmt.Errorf("acquire partition %d: %w", p, err)
	}
	s.shelves[p].begin(token, began.Add(ttl))
	return lease, true, nil
}

// acquire runs acquire.lua. Where replicas must confirm what is accepted they must
// confirm this as well, or a failover could give the partition to somebody else
// while its owner trusts its lease; unconfirmed tells that too few did.
func (s *Store) acquire(ctx context.Context, part *partition, token string, ttl time.Duration) (reply []string, unconfirmed, err error) {
	run := func(on redis.Scripter) ([]string, error) {
		return acquireScript.Run(ctx, on, []string{part.meta, part.scratch, part.in, part.seen[0], part.seen[1], part.timers, part.outbox, part.buried, part.episodes}, token, ttl.Milliseconds(), schema).StringSlice()
	}
	if s.Durability != Replicated {
		reply, err = run(s.rdb)
		return reply, nil, err
	}
	node, err := s.doors.find(ctx, part.meta)
	if err != nil {
		return nil, nil, err
	}
	conn := node.Conn() // WAIT asks about the connection it runs on
	defer func() { _ = conn.Close() }()
	if reply, err = run(conn); err != nil {
		if passing(err) {
			err = errors.Join(err, s.pause(ctx, ingestPause))
		}
		return nil, nil, err
	}
	n, err := conn.Wait(ctx, s.Replicas, s.WaitTimeout).Result()
	if n < int64(s.Replicas) {
		unconfirmed = errors.Join(fmt.Errorf("%w: %d of %d within %v", ErrNotReplicated, n, s.Replicas, s.WaitTimeout), err)
	}
	return reply, unconfirmed, nil
}

// Renew prolongs leases by ttl from now, in one round trip to each node. Kept are the
// partitions whose leases are prolonged, lost those whose token is not the owner's any
// more. What is neither, as a node did not answer until ctx ended, say, err tells of; it
// may or may not be prolonged.
func (s *Store) Renew(ctx context.Context, leases []handover.Lease, ttl time.Duration) (kept, lost []int, err error) {
	run := func(l handover.Lease) (keys []string, args []any) {
		part := &s.partitions[l.Partition]
		return []string{part.meta, part.seen[0], part.seen[1], part.scratch},
			[]any{l.Token, ttl.Milliseconds(), s.Horizon.Milliseconds()}
	}
	began := s.now()
	pipe := s.rdb.Pipeline()
	replies := make([]*redis.Cmd, len(leases))
	for i, l := range leases {
		keys, args := run(l)
		replies[i] = renewScript.EvalSha(ctx, pipe, keys, args...)
	}
	_, _ = pipe.Exec(ctx) // each reply has its own error
	var faults []error
	for i, l := range leases {
		if forgotten(replies[i].Err()) {
			keys, args := run(l)
			replies[i] = renewScript.Eval(ctx, s.rdb, keys, args...)
		}
		switch ours, err := replies[i].Int(); {
		case err != nil:
			faults = append(faults, fmt.Errorf("renew partition %d: %w", l.Partition, err))
		case ours == 0:
			lost = append(lost, l.Partition)
			faults = append(faults, s.disown(ctx, l.Partition, l.Token))
		default:
			s.shelves[l.Partition].prolong(l.Token, began.Add(ttl))
			kept = append(kept, l.Partition)
		}
	}
	return kept, lost, errors.Join(faults...)
}

// Release gives a lease back and announces it. Clean says that no effect was left
// in flight, which the next owner is told. Releasing what is another's does
// nothing.
func (s *Store) Release(ctx context.Context, lease handover.Lease, clean bool) error {
	part := &s.partitions[lease.Partition]
	mark := "0"
	if clean {
		mark = "1"
	}
	s.shelves[lease.Partition].end(lease.Token) // before others can have it
	err := releaseScript.Run(ctx, s.rdb, []string{part.meta, part.scratch}, lease.Token, mark, s.keys.wake(), part.number).Err()
	if err != nil {
		return fmt.Errorf("release partition %d: %w", lease.Partition, err)
	}
	return nil
}

// disown notes that partition p is not ours any more. What this Store has stored
// there since it was lost nobody was told of: its new owner is told now.
func (s *Store) disown(ctx context.Context, p int, token string) error {
	if !s.shelves[p].end(token) {
		return nil
	}
	return s.announce(ctx, p)
}
