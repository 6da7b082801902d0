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

// Read returns up to limit entries of partition p, oldest first, and which of them
// came before; up to limit threads whose timer is due, the next timer, the clock of
// Redis, and whose the partition is at which step, in one round trip. A limit of 0
// asks for no entries and no due timers. An entry's At is the time in its id.
func (s *Store) Read(ctx context.Context, p, limit int) (handover.Batch, error) {
	part := &s.partitions[p]
	args := append(evalSha(readScript, []any{part.in, part.timers, part.meta, part.seen}, 1), max(limit, 0))
	reply, err := s.script(ctx, readScript, part, args).Slice()
	if err != nil {
		return handover.Batch{}, fmt.Errorf("read partition %d: %w", p, err)
	}
	batch, err := unpackBatch(reply)
	if err != nil {
		return handover.Batch{}, fmt.Errorf("read partition %d: %w", p, err)
	}
	if own := s.token(p); own != batch.Token {
		err = s.disown(ctx, p, own)
	}
	return batch, err
}

// unpackBatch reads what read.lua returns.
func unpackBatch(reply []any) (batch handover.Batch, err error) {
	if len(reply) != 7 {
		return batch, fmt.Errorf("%w: %v", errReply, reply)
	}
	now, isText := reply[0].(string)
	entries, haveEntries := reply[1].([]any)
	known, haveKnown := reply[2].([]any)
	due, haveDue := reply[3].([]any)
	next, haveNext := reply[4].([]any)
	token, haveToken := reply[5].(string)
	seq, haveSeq := reply[6].(string)
	if !isText || !haveEntries || !haveKnown || !haveDue || !haveNext || !haveToken || !haveSeq {
		return batch, fmt.Errorf("%w: %v", errReply, reply)
	}
	if batch.Now, err = unixMilli(now); err != nil {
		return batch, err
	}
	batch.Token = token
	if batch.Seq, err = strconv.ParseInt(seq, 10, 64); err != nil {
		return batch, fmt.Errorf("%w: seq %q", errReply, seq)
	}
	if batch.Entries, err = unpackEntries(entries, known); err != nil {
		return batch, err
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

// unpackEntries reads entries, and the positions of those that are known.
func unpackEntries(replies, known []any) (entries []handover.Entry, err error) {
	entries = make([]handover.Entry, len(replies))
	for i, e := range replies {
		if entries[i], err = unpackEntry(e); err != nil {
			return nil, err
		}
	}
	for _, position := range known {
		at, _ := position.(int64)
		if at < 1 || at > int64(len(entries)) {
			return nil, fmt.Errorf("%w: entry %v", errReply, position)
		}
		entries[at-1].Known = true
	}
	return entries, nil
}

// unpackEntry reads [id, [k, kind, b, body, m, marks]]. What has no marks is new.
func unpackEntry(reply any) (e handover.Entry, err error) {
	pair, _ := reply.([]any)
	if len(pair) != 2 {
		return e, fmt.Errorf("%w: entry %v", errReply, reply)
	}
	id, _ := pair[0].(string)
	fields, _ := pair[1].([]any)
	if len(fields) < 4 || fields[0] != "k" || fields[2] != "b" {
		return e, fmt.Errorf("%w: entry %v", errReply, reply)
	}
	kind, _ := fields[1].(string)
	body, _ := fields[3].(string)
	var marks string
	if len(fields) == 6 && fields[4] == "m" {
		marks, _ = fields[5].(string)
	}
	ms, _, _ := strings.Cut(id, "-")
	e = handover.Entry{ID: id, Kind: handover.EntryKind(kind), Marks: marks, Body: body}
	e.At, err = unixMilli(ms)
	return e, err
}

// following returns the id after an entry's: ids are <ms>-<n>.
func following(id string) (string, error) {
	ms, n, ok := strings.Cut(id, "-")
	seq, err := strconv.ParseUint(n, 10, 63)
	if _, msErr := strconv.ParseUint(ms, 10, 63); !ok || err != nil || msErr != nil {
		return "", fmt.Errorf("%w: entry id %q", errReply, id)
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
