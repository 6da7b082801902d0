package redisstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/handover"
	"usher/messenger"
)

// What operators look at, and the one thing that they make vanish.

// page is how many items one command of these asks for, so that none keeps Redis
// from its work for long.
const page = 500

// Thread returns all that is stored of a thread: its body (nil when there is
// none), its history, oldest first, the bodies of its pending effects, by id, and
// what was set aside of it, oldest first. Pending effects are found by the
// "thread" field of their JSON.
func (s *Store) Thread(ctx context.Context, key messenger.ThreadKey) (body []byte, history, pending [][]byte, buried []handover.Buried, err error) {
	part, name := &s.partitions[key.Partition(len(s.partitions))], key.String()
	body, err = s.rdb.Get(ctx, part.thread(name)).Bytes()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, nil, nil, nil, fmt.Errorf("load thread %s: %w", name, err)
	}
	if history, _, err = s.History(ctx, part.n, name); err != nil {
		return nil, nil, nil, nil, err
	}
	if pending, err = s.pendingOf(ctx, part, name); err != nil {
		return nil, nil, nil, nil, fmt.Errorf("load outbox of thread %s: %w", name, err)
	}
	err = s.walk(ctx, part.buried, func(m redis.XMessage) error {
		b, err := unpackBuried(m)
		if err == nil && b.Thread == name {
			buried = append(buried, b)
		}
		return err
	})
	if err != nil {
		return nil, nil, nil, nil, fmt.Errorf("load what was set aside of thread %s: %w", name, err)
	}
	return body, history, pending, buried, nil
}

// pendingOf returns the bodies of a thread's effects, by id.
func (s *Store) pendingOf(ctx context.Context, part *partition, thread string) ([][]byte, error) {
	found := make(map[string][]byte) // a scan may tell twice
	for cursor := uint64(0); ; {
		pairs, next, err := s.rdb.HScan(ctx, part.outbox, cursor, "", page).Result()
		if err != nil {
			return nil, err
		}
		for pair := range slices.Chunk(pairs, 2) {
			if body := []byte(pair[1]); names(body, thread) {
				found[pair[0]] = body
			}
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	ids := make([]string, 0, len(found))
	for id := range found {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	bodies := make([][]byte, len(ids))
	for i, id := range ids {
		bodies[i] = found[id]
	}
	return bodies, nil
}

// names tells whether a body is JSON with thread in its "thread" field.
func names(body []byte, thread string) bool {
	var of struct {
		Thread string `json:"thread"`
	}
	return json.Unmarshal(body, &of) == nil && of.Thread == thread
}

// walk calls fn for each entry of a stream, oldest first.
func (s *Store) walk(ctx context.Context, stream string, fn func(redis.XMessage) error) error {
	for from := "-"; ; {
		entries, err := s.rdb.XRangeN(ctx, stream, from, "+", page).Result()
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := fn(entry); err != nil {
				return err
			}
		}
		if len(entries) < page {
			return nil
		}
		if from, err = following(entries[len(entries)-1].ID); err != nil {
			return err
		}
	}
}

func unpackBuried(m redis.XMessage) (b handover.Buried, err error) {
	text := func(field string) string { s, _ := m.Values[field].(string); return s }
	b = handover.Buried{Thread: text("t"), Cause: text("c"), Body: []byte(text("b"))}
	b.At, err = unixMilli(text("a"))
	return b, err
}

// Threads calls fn for each stored thread, in no order, until fn fails or limit
// threads were told. It looks at every key of every node: for operators, not for
// the way of a message. What changes meanwhile may be told or not.
func (s *Store) Threads(ctx context.Context, limit int, fn func(key messenger.ThreadKey, body []byte) error) error {
	nodes, err := s.primaries(ctx)
	if err != nil {
		return err
	}
	told := make(map[messenger.ThreadKey]bool) // a scan may tell twice
	for _, node := range nodes {
		for cursor := uint64(0); ; {
			keys, next, err := node.Scan(ctx, cursor, s.keys.anyThread(), page).Result()
			if err != nil {
				return fmt.Errorf("list threads: %w", err)
			}
			bodies, err := s.bodies(ctx, keys)
			if err != nil {
				return fmt.Errorf("list threads: %w", err)
			}
			for i, key := range keys {
				thread, err := threadOf(key)
				if err != nil {
					return fmt.Errorf("list threads: %w", err)
				}
				if bodies[i] == nil || told[thread] {
					continue
				}
				if len(told) >= limit {
					return nil
				}
				told[thread] = true
				if err := fn(thread, bodies[i]); err != nil {
					return err
				}
			}
			if cursor = next; cursor == 0 || len(told) >= limit {
				break
			}
		}
	}
	return nil
}

// bodies returns the values of keys of any partition, nil for one that is gone.
func (s *Store) bodies(ctx context.Context, keys []string) ([][]byte, error) {
	replies := make([]*redis.StringCmd, len(keys))
	pipe := s.rdb.Pipeline()
	for i, key := range keys {
		replies[i] = pipe.Get(ctx, key)
	}
	_, _ = pipe.Exec(ctx) // each reply has its own error
	bodies := make([][]byte, len(keys))
	for i, reply := range replies {
		body, err := reply.Bytes()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, err
		}
		if err == nil {
			bodies[i] = body
		}
	}
	return bodies, nil
}

// Buried returns the latest of what was set aside in all partitions, newest
// first, at most limit.
func (s *Store) Buried(ctx context.Context, limit int) ([]handover.Buried, error) {
	entries, err := s.latest(ctx, limit, func(p *partition) string { return p.buried })
	if err != nil {
		return nil, fmt.Errorf("list what was set aside: %w", err)
	}
	all := make([]handover.Buried, len(entries))
	for i, entry := range entries {
		if all[i], err = unpackBuried(entry); err != nil {
			return nil, fmt.Errorf("list what was set aside: %w", err)
		}
	}
	slices.SortStableFunc(all, func(a, b handover.Buried) int { return b.At.Compare(a.At) })
	return all[:min(limit, len(all))], nil
}

// Episodes returns the episodes that ended last in all partitions, newest first,
// at most limit.
func (s *Store) Episodes(ctx context.Context, limit int) ([][]byte, error) {
	entries, err := s.latest(ctx, limit, func(p *partition) string { return p.episodes })
	if err != nil {
		return nil, fmt.Errorf("list episodes: %w", err)
	}
	slices.SortStableFunc(entries, func(a, b redis.XMessage) int {
		return cmp.Or(cmp.Compare(len(b.ID), len(a.ID)), cmp.Compare(b.ID, a.ID)) // <ms>-<n>, ms of equal length for centuries
	})
	entries = entries[:min(limit, len(entries))]
	bodies := make([][]byte, len(entries))
	for i, entry := range entries {
		body, _ := entry.Values["b"].(string)
		bodies[i] = []byte(body)
	}
	return bodies, nil
}

// latest returns the newest entries of a stream of each partition, each newest
// first, at most limit from one.
func (s *Store) latest(ctx context.Context, limit int, stream func(*partition) string) ([]redis.XMessage, error) {
	replies := make([]*redis.XMessageSliceCmd, len(s.partitions))
	_, err := s.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := range s.partitions {
			replies[i] = pipe.XRevRangeN(ctx, stream(&s.partitions[i]), "+", "-", int64(limit))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var entries []redis.XMessage
	for _, reply := range replies {
		entries = append(entries, reply.Val()...)
	}
	return entries, nil
}

// Forget removes what was set aside of a thread and the episodes that it had.
// They are found by the thread's name and, with episodes, the "thread" field of
// their JSON. The thread itself, its history and its timer go with the commit
// that deletes it.
func (s *Store) Forget(ctx context.Context, key messenger.ThreadKey) error {
	part, name := &s.partitions[key.Partition(len(s.partitions))], key.String()
	for stream, field := range map[string]func(redis.XMessage) bool{
		part.buried:   func(m redis.XMessage) bool { return m.Values["t"] == name },
		part.episodes: func(m redis.XMessage) bool { body, _ := m.Values["b"].(string); return names([]byte(body), name) },
	} {
		var ids []string
		err := s.walk(ctx, stream, func(m redis.XMessage) error {
			if field(m) {
				ids = append(ids, m.ID)
			}
			return nil
		})
		for chunk := range slices.Chunk(ids, page) {
			err = errors.Join(err, s.rdb.XDel(ctx, stream, chunk...).Err())
		}
		if err != nil {
			return fmt.Errorf("forget thread %s: %w", name, err)
		}
	}
	return nil
}

// Backlog returns how many accepted entries wait for their partition's owner,
// and how many effects wait to be carried out.
func (s *Store) Backlog(ctx context.Context) (entries, effects int64, err error) {
	waiting := make([]*redis.IntCmd, 0, 2*len(s.partitions))
	_, err = s.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := range s.partitions {
			waiting = append(waiting, pipe.XLen(ctx, s.partitions[i].in), pipe.HLen(ctx, s.partitions[i].outbox))
		}
		return nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("read backlog: %w", err)
	}
	for i := 0; i < len(waiting); i += 2 {
		entries += waiting[i].Val()
		effects += waiting[i+1].Val()
	}
	return entries, effects, nil
}

// Oldest returns for how long the oldest accepted entry has waited for its
// partition's owner; 0 where none waits.
func (s *Store) Oldest(ctx context.Context) (time.Duration, error) {
	heads := make([]*redis.XMessageSliceCmd, len(s.partitions))
	var now *redis.TimeCmd
	_, err := s.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := range s.partitions {
			heads[i] = pipe.XRangeN(ctx, s.partitions[i].in, "-", "+", 1)
		}
		now = pipe.Time(ctx)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read age of backlog: %w", err)
	}
	var oldest time.Duration
	for _, head := range heads {
		for _, entry := range head.Val() {
			ms, _, _ := strings.Cut(entry.ID, "-")
			at, err := unixMilli(ms)
			if err != nil {
				return 0, fmt.Errorf("read age of backlog: %w", err)
			}
			oldest = max(oldest, now.Val().Sub(at))
		}
	}
	return oldest, nil
}

// Pool tells how it stands with the connections to Redis, and what was counted
// since the start.
func (s *Store) Pool() Pool {
	stats := s.rdb.PoolStats()
	p := Pool{
		Connections: int(stats.TotalConns), Idle: int(stats.IdleConns), Hits: int64(stats.Hits), Misses: int64(stats.Misses),
		Timeouts: int64(stats.Timeouts), Stale: int64(stats.StaleConns),
	}
	if more := stats.PipelineStats; more != nil { // pipelines, as nearly all is, have connections of their own
		p.Connections, p.Idle = p.Connections+int(more.TotalConns), p.Idle+int(more.IdleConns)
		p.Hits, p.Misses = p.Hits+int64(more.Hits), p.Misses+int64(more.Misses)
		p.Timeouts, p.Stale = p.Timeouts+int64(more.Timeouts), p.Stale+int64(more.StaleConns)
	}
	return p
}

// Pool are figures of the connections to Redis.
type Pool struct {
	Connections, Idle int   // open now
	Hits, Misses      int64 // whether a free connection was found
	Timeouts          int64 // none became free in time
	Stale             int64 // closed, being broken or old
}
