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
// Redis, and whose the partition is at which step. A limit of 0 asks for no entries and
// no due timers. An entry's At is the time in its id.
//
// It takes one round trip, and another one where there are entries. They need not be
// one: whoever is told what is no longer so can commit nothing that follows from it.
// Entries are read by a command, as a script's tables would cost more than they do.
func (s *Store) Read(ctx context.Context, p, limit int) (handover.Batch, error) {
	batch, err := s.read(ctx, &s.partitions[p], max(limit, 0))
	if err != nil {
		return handover.Batch{}, fmt.Errorf("read partition %d: %w", p, err)
	}
	if own := s.token(p); own != batch.Token {
		err = s.disown(ctx, p, own)
	}
	return batch, err
}

func (s *Store) read(ctx context.Context, part *partition, limit int) (batch handover.Batch, err error) {
	// The clock comes first: what was accepted until then is among the entries.
	commands := []command{{readScript, append(evalSha(readScript, []any{part.timers, part.meta}, 1), limit)}}
	if limit > 0 {
		commands = append(commands, command{args: []any{"xrange", part.in, "-", "+", "count", limit}})
	}
	replies := s.commands(ctx, part, commands...)
	state, err := replies[0].Slice()
	if err == nil {
		batch, err = unpackBatch(state)
	}
	if err != nil || limit == 0 {
		return batch, err
	}
	entries, err := replies[1].Slice()
	if err == nil {
		batch.Entries, err = unpackEntries(entries)
	}
	if err == nil {
		err = s.recognise(ctx, part, batch.Entries)
	}
	return batch, err
}

// recognise finds the entries of which a mark is remembered, or is that of a new entry
// before it.
func (s *Store) recognise(ctx context.Context, part *partition, entries []handover.Entry) error {
	args := make([]any, 2, 2+2*len(entries))
	args[0], args[1] = "zmscore", part.seen
	for i := range entries {
		for mark := range eachMark(entries[i].Marks) {
			args = append(args, mark)
		}
	}
	if len(args) == 2 {
		return nil
	}
	scores, err := s.commands(ctx, part, command{args: args})[0].Slice()
	if err != nil {
		return err
	}
	if len(scores) != len(args)-2 {
		return fmt.Errorf("%w: %d scores of %d marks", errReply, len(scores), len(args)-2)
	}
	came := make(map[string]bool, len(scores))
	for i := range entries {
		e := &entries[i]
		for mark := range eachMark(e.Marks) {
			e.Known = e.Known || scores[0] != nil || came[mark]
			scores = scores[1:]
		}
		for mark := range eachMark(e.Marks) {
			came[mark] = came[mark] || !e.Known
		}
	}
	return nil
}

// unpackBatch reads what read.lua returns.
func unpackBatch(reply []any) (batch handover.Batch, err error) {
	if len(reply) != 5 {
		return batch, fmt.Errorf("%w: %v", errReply, reply)
	}
	now, isText := reply[0].(string)
	due, haveDue := reply[1].([]any)
	next, haveNext := reply[2].([]any)
	token, haveToken := reply[3].(string)
	seq, haveSeq := reply[4].(string)
	if !isText || !haveDue || !haveNext || !haveToken || !haveSeq {
		return batch, fmt.Errorf("%w: %v", errReply, reply)
	}
	if batch.Now, err = unixMilli(now); err != nil {
		return batch, err
	}
	batch.Token = token
	if batch.Seq, err = strconv.ParseInt(seq, 10, 64); err != nil {
		return batch, fmt.Errorf("%w: seq %q", errReply, seq)
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

// unpackEntries reads what XRANGE returns.
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
