package redisstore

import (
	"context"
	_ "embed" // the scripts
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed heartbeat.lua
var heartbeatSource string

//go:embed leave.lua
var leaveSource string

var (
	heartbeatScript = redis.NewScript(heartbeatSource)
	leaveScript     = redis.NewScript(leaveSource)
)

// Heartbeat counts member as alive for ttl by the clock of Redis, and returns all
// that are alive, in no order that means anything. A change of the members is
// announced.
func (s *Store) Heartbeat(ctx context.Context, member string, ttl time.Duration) (live []string, err error) {
	live, err = heartbeatScript.Run(ctx, s.rdb, []string{s.keys.members()}, member, ttl.Milliseconds(), s.keys.wake()).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("heartbeat of %s: %w", member, err)
	}
	return live, nil
}

// Leave removes member and announces it.
func (s *Store) Leave(ctx context.Context, member string) error {
	if err := leaveScript.Run(ctx, s.rdb, []string{s.keys.members()}, member, s.keys.wake()).Err(); err != nil {
		return fmt.Errorf("remove member %s: %w", member, err)
	}
	return nil
}

// Wakes calls fn for each announcement until ctx ends, then returns nil: with the
// number of a partition that has new entries or was released, or with -1 when the
// members changed or a Page was paused. Announcements are not kept for who is not connected, so fn is
// called with -1 after each connect as well: look everywhere. A connection that
// died silently is noticed after about eight seconds. What this very Store appends
// to a partition that it owns is not announced to others: fn is called at once. It must not block, and calls may come at the same time.
func (s *Store) Wakes(ctx context.Context, fn func(partition int)) error {
	s.listeners.Store(&fn, nil)
	defer s.listeners.Delete(&fn)
	// No sharded channel: miniredis and Redis 6 have none, and there is little to say.
	sub := s.rdb.Subscribe(ctx, s.keys.wake())
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer func() {
		if stop() {
			_ = sub.Close()
		}
	}()
	for msg := range sub.ChannelWithSubscriptions() {
		p := -1
		if m, ok := msg.(*redis.Message); ok {
			var err error
			if p, err = strconv.Atoi(m.Payload); err != nil || p >= len(s.partitions) {
				p = -1 // nobody of ours says that; looking everywhere is harmless
			}
		}
		if ctx.Err() != nil {
			break
		}
		fn(p)
	}
	if ctx.Err() == nil {
		return fmt.Errorf("subscription to %s: %w", s.keys.wake(), redis.ErrClosed)
	}
	return nil
}

// announce tells all processes that partition p has new entries of which its owner may
// not know.
func (s *Store) announce(ctx context.Context, p int) error {
	d := &deposit{partition: &s.partitions[p]}
	if err := s.ingest(ctx, []*deposit{d}); err != nil {
		return fmt.Errorf("announce entries in partition %d: %w", p, err)
	}
	return nil
}

// tell wakes the owner in this process.
func (s *Store) tell(p int) {
	s.listeners.Range(func(fn, _ any) bool {
		if wake, ok := fn.(*func(int)); ok {
			(*wake)(p)
		}
		return true
	})
}
