package redisstore

import (
	"context"
	"crypto/sha256"
	_ "embed" // commit.lua
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/handover"
)

//go:embed commit.lua
var commitSource string

var commitScript = redis.NewScript(commitSource)

// Commit applies c if its lease is the owner's and its Seq is the store's, in one
// script; else it writes nothing and returns [handover.ErrLeaseLost] or
// [handover.ErrStale]. A repeat of the commit that was applied last gets the same
// answer and changes nothing.
//
// A thread that is deleted loses what was stored of it before; where c also
// stores it or adds to its history, that stays. The clock of Redis is used
// throughout, c.Now is not.
//
// It does not wait for replicas: what a failover forgets of it is still in the
// stream, or decided again with the same effect ids.
func (s *Store) Commit(ctx context.Context, c handover.Commit) (handover.Committed, error) {
	done, err := s.commit(ctx, c)
	if err != nil {
		return done, fmt.Errorf("commit %d of partition %d: %w", c.Lease.Seq+1, c.Lease.Partition, err)
	}
	return done, nil
}

func (s *Store) commit(ctx context.Context, c handover.Commit) (done handover.Committed, err error) {
	w := commitWriter{args: make([]any, 0, 64)}
	s.write(&w, c)
	reply, err := s.script(ctx, commitScript, w.keys, w.args...).StringSlice()
	switch {
	case err != nil:
		return done, err
	case len(reply) == 1 && reply[0] == "lost":
		s.refused.Add(1)
		return done, errors.Join(handover.ErrLeaseLost, s.disown(ctx, c.Lease.Partition, c.Lease.Token))
	case len(reply) == 2 && reply[0] == "stale":
		return done, fmt.Errorf("%w: it has seen %s commits, its owner %d", handover.ErrStale, reply[1], c.Lease.Seq)
	case len(reply) == 3 && reply[0] == "done":
		done.Seq, done.Left = c.Lease.Seq+1, reply[2] == "1"
		done.Known, err = known(c.Put, reply[1])
		return done, err
	}
	return done, fmt.Errorf("%w: %q", errReply, reply)
}

// known returns the ids at positions of puts, as commit.lua writes them: "1,7,".
func known(puts []handover.Pending, positions string) (ids []string, err error) {
	for position := range strings.SplitSeq(strings.TrimSuffix(positions, ","), ",") {
		if position == "" {
			continue
		}
		i, err := strconv.Atoi(position)
		if err != nil || i < 1 || i > len(puts) {
			return nil, fmt.Errorf("%w: effects %q", errReply, positions)
		}
		ids = append(ids, puts[i-1].ID)
	}
	return ids, nil
}

// write writes c as commit.lua reads it.
func (s *Store) write(w *commitWriter, c handover.Commit) {
	part := &s.partitions[c.Lease.Partition]
	w.keys = append(w.keys, part.meta, part.in, part.seen, part.timers, part.outbox, part.buried, part.episodes, part.scratch)

	w.add(c.Lease.Token)
	w.number(c.Lease.Seq)
	w.number(c.Lease.Seq + 1)
	w.add("") // the id, once all is written
	w.number(s.Retention.Milliseconds())
	w.number(int64(s.HistoryCap))
	w.number(int64(s.BuriedCap))
	w.number(int64(s.EpisodesCap))

	threads := gather(c)
	marks := marksOf(c)
	for _, n := range []int{len(c.Consumed), len(marks), len(c.Echoed), len(c.Put), len(c.Drop), len(c.Buried), len(c.Episodes), len(threads)} {
		w.number(int64(n))
	}
	for i := range c.Consumed {
		w.add(c.Consumed[i].ID)
	}
	for _, mark := range marks {
		w.add(mark)
	}
	for _, id := range c.Echoed {
		w.add(id)
	}
	for _, e := range c.Put {
		w.add(e.ID)
		w.bytes(e.Body)
	}
	for _, id := range c.Drop {
		w.add(id)
	}
	for _, b := range c.Buried {
		w.add(b.Thread)
		w.add(b.Cause)
		w.number(b.At.UnixMilli())
		w.bytes(b.Body)
	}
	for _, body := range c.Episodes {
		w.bytes(body)
	}
	for _, t := range threads {
		w.keys = append(w.keys, part.thread(t.name), part.history(t.name))
		w.thread(t)
	}
	w.args[commitID] = w.id()
}

// marksOf returns what is to be remembered of what c consumes and of what was sent.
func marksOf(c handover.Commit) []string {
	marks := make([]string, 0, len(c.Consumed)+len(c.Sent))
	for i := range c.Consumed {
		for rest := c.Consumed[i].Marks; len(rest) >= markSize && !c.Consumed[i].Known; rest = rest[markSize:] {
			marks = append(marks, rest[:markSize])
		}
	}
	for _, id := range c.Sent {
		marks = append(marks, string(appendMark(nil, id)))
	}
	return marks
}

// change is all that a commit does to one thread.
type change struct {
	name   string
	forget bool
	store  bool
	body   []byte
	wake   time.Time
	lines  [][]byte
}

// gather sorts a commit's writes by thread, so that commit.lua is told each
// thread's keys once.
func gather(c handover.Commit) []*change {
	changes := make([]*change, 0, len(c.Threads))
	byName := make(map[string]*change, len(c.Threads))
	of := func(name string) *change {
		if byName[name] == nil {
			byName[name] = &change{name: name}
			changes = append(changes, byName[name])
		}
		return byName[name]
	}
	for _, t := range c.Threads {
		to := of(t.Thread)
		if to.store = t.Body != nil; to.store {
			to.body, to.wake = t.Body, t.Wake
		} else {
			to.forget, to.body, to.wake = true, nil, time.Time{}
		}
	}
	for _, h := range c.History {
		to := of(h.Thread)
		to.lines = append(to.lines, h.Body)
	}
	return changes
}

// commitID is where the id of a commit stands among the arguments.
const commitID = 3

// commitWriter gathers the keys and arguments of commit.lua.
type commitWriter struct {
	keys []string
	args []any
}

func (w *commitWriter) add(s string)   { w.args = append(w.args, s) }
func (w *commitWriter) bytes(b []byte) { w.args = append(w.args, b) }
func (w *commitWriter) number(n int64) { w.args = append(w.args, n) } // a small one is put into an any without an allocation

func (w *commitWriter) flag(b bool) {
	if b {
		w.number(1)
	} else {
		w.number(0)
	}
}

func (w *commitWriter) thread(t *change) {
	w.add(t.name)
	w.flag(t.forget)
	w.flag(t.store)
	w.bytes(t.body)
	if t.wake.IsZero() {
		w.add("")
	} else {
		w.number(t.wake.UnixMilli())
	}
	w.number(int64(len(t.lines)))
	for _, line := range t.lines {
		w.bytes(line)
	}
}

// id returns a digest of all arguments. With it a repeat is told from another
// commit that claims the same place.
func (w *commitWriter) id() string {
	h := sha256.New()
	var buf []byte
	for _, arg := range w.args {
		buf = buf[:0]
		switch arg := arg.(type) {
		case int64:
			buf = binary.AppendVarint(buf, arg)
		case string:
			buf = append(binary.AppendUvarint(buf, uint64(len(arg))), arg...)
		case []byte:
			buf = append(binary.AppendUvarint(buf, uint64(len(arg))), arg...)
		}
		h.Write(buf)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
