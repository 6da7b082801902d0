package redisstore

import (
	"context"
	_ "embed" // read.lua
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"usher/handover"
)

//go:embed read.lua
var readSource string

var readScript = redis.NewScript(readSource)

// Read returns up to limit entries of partition p after cursor ("" = from the
// start), up to limit threads whose timer is due, the next timer, the clock of
// Redis, and whose the partition is at which step, in one round trip. A limit of 0 asks for no entries and no due
// timers. An entry's At is the time in its id.
func (s *Store) Read(ctx context.Context, p int, cursor string, limit int) (handover.Batch, error) {
	batch, err := s.read(ctx, &s.partitions[p], cursor, limit)
	if err != nil {
		return handover.Batch{}, fmt.Errorf("read partition %d: %w", p, err)
	}
	return batch, nil
}

func (s *Store) read(ctx context.Context, part *partition, cursor string, limit int) (handover.Batch, error) {
	from := "-"
	if cursor != "" {
		var err error
		if from, err = following(cursor); err != nil {
			return handover.Batch{}, err
		}
	}
	reply, err := s.script(ctx, readScript, []string{part.in, part.timers, part.meta}, from, max(limit, 0)).Slice()
	if err != nil {
		return handover.Batch{}, err
	}
	return unpackBatch(reply)
}

// unpackBatch reads what read.lua returns.
func unpackBatch(reply []any) (batch handover.Batch, err error) {
	if len(reply) != 6 {
		return batch, fmt.Errorf("%w: %v", errReply, reply)
	}
	now, isText := reply[0].(string)
	entries, haveEntries := reply[1].([]any)
	due, haveDue := reply[2].([]any)
	next, haveNext := reply[3].([]any)
	token, haveToken := reply[4].(string)
	seq, haveSeq := reply[5].(string)
	if !isText || !haveEntries || !haveDue || !haveNext || !haveToken || !haveSeq {
		return batch, fmt.Errorf("%w: %v", errReply, reply)
	}
	if batch.Now, err = unixMilli(now); err != nil {
		return batch, err
	}
	batch.Token = token
	if batch.Seq, err = strconv.ParseInt(seq, 10, 64); err != nil {
		return batch, fmt.Errorf("%w: seq %q", errReply, seq)
	}
	batch.Entries = make([]handover.Entry, len(entries))
	for i, e := range entries {
		if batch.Entries[i], err = unpackEntry(e); err != nil {
			return batch, err
		}
	}
	batch.Due = make([]string, len(due))
	for i, thread := range due {
		if batch.Due[i], isText = thread.(string); !isText {
			return batch, fmt.Errorf("%w: thread %v", errReply, thread)
		}
	}
	if len(next) == 2 {
		score, _ := next[1].(string)
		batch.NextDue, err = unixMilli(score)
	}
	return batch, err
}

// unpackEntry reads [id, [k, kind, b, body]].
func unpackEntry(reply any) (e handover.Entry, err error) {
	pair, _ := reply.([]any)
	if len(pair) != 2 {
		return e, fmt.Errorf("%w: entry %v", errReply, reply)
	}
	id, _ := pair[0].(string)
	fields, _ := pair[1].([]any)
	if len(fields) != 4 || fields[0] != "k" || fields[2] != "b" {
		return e, fmt.Errorf("%w: entry %v", errReply, reply)
	}
	kind, _ := fields[1].(string)
	body, _ := fields[3].(string)
	ms, _, _ := strings.Cut(id, "-")
	e = handover.Entry{ID: id, Kind: handover.EntryKind(kind), Body: []byte(body)}
	e.At, err = unixMilli(ms)
	return e, err
}

// following returns the id after an entry's: ids are <ms>-<n>.
func following(id string) (string, error) {
	ms, n, ok := strings.Cut(id, "-")
	seq, err := strconv.ParseUint(n, 10, 63)
	if _, msErr := strconv.ParseUint(ms, 10, 63); !ok || err != nil || msErr != nil {
		return "", fmt.Errorf("%w: cursor %q", errReply, id)
	}
	return ms + "-" + strconv.FormatUint(seq+1, 10), nil
}

// Load returns the bodies of threads of partition p in order, nil for one that is
// not stored.
func (s *Store) Load(ctx context.Context, p int, threads []string) ([][]byte, error) {
	if len(threads) == 0 {
		return nil, nil
	}
	part := &s.partitions[p]
	keys := make([]string, len(threads))
	for i, thread := range threads {
		keys[i] = part.thread(thread)
	}
	values, err := s.rdb.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, fmt.Errorf("load %d threads of partition %d: %w", len(threads), p, err)
	}
	bodies := make([][]byte, len(threads))
	for i, v := range values {
		if body, ok := v.(string); ok {
			bodies[i] = []byte(body)
		}
	}
	return bodies, nil
}

// Outbox returns all pending effects of partition p, in no order.
func (s *Store) Outbox(ctx context.Context, p int) ([]handover.Pending, error) {
	bodies, err := s.rdb.HGetAll(ctx, s.partitions[p].outbox).Result()
	if err != nil {
		return nil, fmt.Errorf("load outbox of partition %d: %w", p, err)
	}
	pending := make([]handover.Pending, 0, len(bodies))
	for id, body := range bodies {
		pending = append(pending, handover.Pending{ID: id, Body: []byte(body)})
	}
	return pending, nil
}
