package redisstore

import (
	"context"
	_ "embed" // read.lua
	"errors"
	"fmt"
	"strconv"
	"time"

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
	part, shelf := &s.partitions[p], &s.shelves[p]
	limit = max(limit, 0)
	began := s.now()
	have := shelf.view(limit, began)
	look := 0
	if have.look {
		look = 1
	}
	args := append(evalSha(readScript, []any{part.in, part.timers, part.meta, part.seen[0], part.seen[1]}, 3+len(have.entries)), limit, look, have.mark)
	for i := range have.entries {
		args = append(args, &have.entries[i].Marks)
	}
	reply, err := s.script(ctx, readScript, part, args).Slice()
	if err != nil {
		return handover.Batch{}, fmt.Errorf("read partition %d: %w", p, err)
	}
	batch, seen, mark, err := unpackBatch(reply, have.entries)
	if err == nil && seen {
		err = shelf.looked(have, batch.Entries, limit, mark, began)
	}
	if err != nil {
		return handover.Batch{}, fmt.Errorf("read partition %d: %w", p, err)
	}
	if own := shelf.owner(); own != batch.Token {
		err = s.disown(ctx, p, own)
	}
	return batch, err
}

// unpackBatch reads what read.lua returns to who has entries without a look. Seen tells
// that others were seen in the stream instead.
func unpackBatch(reply []any, have []handover.Entry) (batch handover.Batch, seen bool, mark string, err error) {
	r := replyReader{left: reply}
	now, entries, known := r.text(), r.any(), r.list()
	due, next := r.list(), r.list()
	token, seq, mark := r.text(), r.text(), r.text()
	inStream, seen := entries.([]any)
	if r.bad || len(r.left) > 0 || !seen && entries != nil {
		return batch, false, "", fmt.Errorf("%w: %v", errReply, reply)
	}
	var nowErr, seqErr, entriesErr, nextErr error
	batch.Now, nowErr = unixMilli(now)
	batch.Token = token
	batch.Seq, seqErr = strconv.ParseInt(seq, 10, 64)
	if batch.Entries = have; seen {
		batch.Entries, entriesErr = unpackEntries(inStream)
	}
	for r.left = known; len(r.left) > 0; {
		at, _ := r.any().(int64)
		if at < 1 || at > int64(len(batch.Entries)) {
			return batch, false, "", fmt.Errorf("%w: entry %d of %d", errReply, at, len(batch.Entries))
		}
		batch.Entries[at-1].Known = true
	}
	batch.Due = make([]string, len(due))
	r.left = due
	for i := range due {
		batch.Due[i] = r.text()
	}
	if len(next) == 2 {
		r.left = next[1:]
		batch.NextDue, nextErr = unixMilli(r.text())
	}
	if r.bad {
		return batch, false, "", fmt.Errorf("%w: %v", errReply, reply)
	}
	return batch, seen, mark, errors.Join(nowErr, seqErr, entriesErr, nextErr)
}

// replyReader takes a reply apart, one value after the other; bad tells that one was
// of another type, or missing.
type replyReader struct {
	left []any
	bad  bool
}

func (r *replyReader) any() (v any) {
	if len(r.left) == 0 {
		r.bad = true
		return nil
	}
	v, r.left = r.left[0], r.left[1:]
	return v
}

func (r *replyReader) text() string {
	text, ok := r.any().(string)
	r.bad = r.bad || !ok
	return text
}

func (r *replyReader) list() []any {
	list, ok := r.any().([]any)
	r.bad = r.bad || !ok
	return list
}

func unpackEntries(replies []any) (entries []handover.Entry, err error) {
	entries = make([]handover.Entry, len(replies))
	for i, e := range replies {
		if entries[i], err = unpackEntry(e); err != nil {
			return nil, err
		}
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
	e = handover.Entry{ID: id, Kind: handover.EntryKind(kind), Marks: marks, Body: body}
	e.At, err = acceptedAt(id)
	return e, err
}

// acceptedAt returns the time in an entry's id.
func acceptedAt(id string) (time.Time, error) {
	at, err := readEntryID(id)
	return time.UnixMilli(int64(at.ms)).UTC(), err //nolint:gosec // Redis's ids are times
}

// following returns the id after an entry's.
func following(id string) (string, error) {
	at, err := readEntryID(id)
	return strconv.FormatUint(at.ms, 10) + "-" + strconv.FormatUint(at.n+1, 10), err
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

// History returns the lines of a thread's history in partition p, oldest first, and
// whether these are all that were ever added: no more than Options.HistoryCap are kept.
// What is no list holds none, and is replaced by the next commit: a partition must not
// stop for it.
func (s *Store) History(ctx context.Context, p int, thread string) (lines [][]byte, whole bool, err error) {
	kept, err := s.rdb.LRange(ctx, s.partitions[p].history(thread), -int64(s.HistoryCap), -1).Result()
	switch {
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		return nil, true, nil
	case err != nil:
		return nil, false, fmt.Errorf("load history of thread %s: %w", thread, err)
	}
	for _, line := range kept {
		lines = append(lines, []byte(line))
	}
	return lines, len(lines) < s.HistoryCap, nil
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
