package redisstore

import (
	"context"
	_ "embed" // commit.lua
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"

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
	reply, err := s.script(ctx, commitScript, &s.partitions[c.Lease.Partition], s.arguments(&c)).StringSlice()
	switch {
	case err != nil:
		return done, err
	case len(reply) == 1 && reply[0] == "lost":
		s.refused.Add(1)
		return done, errors.Join(handover.ErrLeaseLost, s.disown(ctx, c.Lease.Partition, c.Lease.Token))
	case len(reply) == 2 && reply[0] == "stale":
		return done, fmt.Errorf("%w: it has seen %s commits, its owner %d", handover.ErrStale, reply[1], c.Lease.Seq)
	case len(reply) == 3 && reply[0] == "done":
		done.Seq = c.Lease.Seq + 1
		var knownErr, shelfErr error
		done.Known, knownErr = known(c.Put, reply[1])
		done.Left, shelfErr = s.shelves[c.Lease.Partition].took(c.Lease.Token, c.Consumed, reply[2])
		return done, errors.Join(knownErr, shelfErr)
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

// arguments returns the command that runs commit.lua. It points to what stands in c,
// so that nothing is copied.
func (s *Store) arguments(c *handover.Commit) []any {
	part := &s.partitions[c.Lease.Partition]
	threads, next := gather(c)
	marks := marksOf(c)
	names := make([]string, 2*len(threads)) // of keys
	keys := make([]any, 0, 9+len(names))
	keys = append(keys, part.meta, part.in, part.seen[0], part.seen[1], part.timers, part.outbox, part.buried, part.episodes, part.scratch)
	for i := range threads {
		names[2*i], names[2*i+1] = part.thread(threads[i].name), part.history(threads[i].name)
		keys = append(keys, &names[2*i], &names[2*i+1])
	}
	const ahead, put, buried, thread = 16, 3, 4, 5 // arguments before all, and of one of each
	w := commitWriter(evalSha(commitScript, keys, ahead+len(c.Consumed)+len(marks)+len(c.Echoed)+put*len(c.Put)+len(c.Drop)+
		buried*len(c.Buried)+len(c.Episodes)+thread*len(threads)+len(c.History)))
	first := len(w)

	w.text(&c.Lease.Token)
	w.number(c.Lease.Seq)
	w.number(c.Lease.Seq + 1)
	id := len(w)
	w.number(0) // the id, once all is written
	w.number(s.Retention.Milliseconds())
	w.number(int64(s.HistoryCap))
	w.number(int64(s.BuriedCap))
	w.number(int64(s.EpisodesCap))
	for _, n := range [...]int{len(c.Consumed), len(marks), len(c.Echoed), len(c.Put), len(c.Drop), len(c.Buried), len(c.Episodes), len(threads)} {
		w.number(int64(n))
	}
	for i := range c.Consumed {
		w.text(&c.Consumed[i].ID)
	}
	for i := range marks {
		w.text(&marks[i])
	}
	for i := range c.Echoed {
		w.text(&c.Echoed[i])
	}
	for i := range c.Put {
		w.text(&c.Put[i].ID)
	}
	for i := range c.Put {
		w.text(&c.Put[i].ID)
		w.bytes(&c.Put[i].Body)
	}
	for i := range c.Drop {
		w.text(&c.Drop[i])
	}
	for i := range c.Buried {
		b := &c.Buried[i]
		w.text(&b.Thread)
		w.text(&b.Cause)
		w.number(b.At.UnixMilli())
		w.bytes(&b.Body)
	}
	for i := range c.Episodes {
		w.bytes(&c.Episodes[i])
	}
	for i := range threads {
		t := &threads[i]
		w.thread(t)
		for at, left := t.first, t.lines; left > 0; at, left = next[at], left-1 {
			w.bytes(&c.History[at].Body)
		}
	}
	w[id] = digest(w[first:])
	return w
}

// marksOf returns what is to be remembered of what c consumes.
func marksOf(c *handover.Commit) []string {
	marks := make([]string, 0, len(c.Consumed))
	for i := range c.Consumed {
		for rest := c.Consumed[i].Marks; len(rest) >= markSize && !c.Consumed[i].Known; rest = rest[markSize:] {
			marks = append(marks, rest[:markSize])
		}
	}
	return marks
}

// change is all that a commit does to one thread.
type change struct {
	name        string
	forget      bool
	write       *handover.ThreadWrite // to store; nil for none
	lines       int                   // of history
	first, last int                   // of them, among the commit's
}

// gather sorts a commit's writes by thread, so that commit.lua is told each
// thread's keys once. Next tells of each line of history where the thread's next one
// is.
func gather(c *handover.Commit) (changes []change, next []int) {
	changes, next = make([]change, 0, max(len(c.Threads), len(c.History))), make([]int, len(c.History))
	at := make(map[string]int, cap(changes))
	of := func(name string) *change {
		i, ok := at[name]
		if !ok {
			i = len(changes)
			at[name] = i
			changes = append(changes, change{name: name})
		}
		return &changes[i]
	}
	for i := range c.Threads {
		to := of(c.Threads[i].Thread)
		if to.write = &c.Threads[i]; to.write.Body == nil {
			to.forget, to.write = true, nil
		}
	}
	for i := range c.History {
		to := of(c.History[i].Thread)
		if to.lines == 0 {
			to.first = i
		} else {
			next[to.last] = i
		}
		to.lines, to.last = to.lines+1, i
	}
	return changes, next
}

// commitWriter gathers the arguments of commit.lua.
type commitWriter []any

// blob is bytes to which an argument points.
type blob []byte

// MarshalBinary is what the client asks for.
func (b *blob) MarshalBinary() ([]byte, error) { return *b, nil }

func (w *commitWriter) text(s *string)  { *w = append(*w, s) }
func (w *commitWriter) bytes(b *[]byte) { *w = append(*w, (*blob)(b)) }
func (w *commitWriter) word(s string)   { *w = append(*w, s) }
func (w *commitWriter) number(n int64)  { *w = append(*w, n) } // a small one is put into an any without an allocation

// thread writes a change but for its lines, which follow.
func (w *commitWriter) thread(t *change) {
	w.number(int64(t.lines))
	w.word(t.does())
	if t.does() == "" {
		return
	}
	w.text(&t.name)
	if t.write == nil {
		w.word("")
		w.word("")
		return
	}
	w.bytes(&t.write.Body)
	if t.write.Wake.IsZero() {
		w.word("")
	} else {
		w.number(t.write.Wake.UnixMilli())
	}
}

// does says in commit.lua's words what is done to a thread beside its history.
func (t *change) does() string {
	switch {
	case t.forget && t.write != nil:
		return "ds"
	case t.forget:
		return "d"
	case t.write == nil:
		return ""
	case t.write.Keep:
		return "k"
	}
	return "s"
}

// seed makes this process's digests.
//
//nolint:gochecknoglobals // drawn once
var seed = maphash.MakeSeed()

// digest returns a digest of arguments. With it a repeat is told from another
// commit that claims the same place; who has drawn the token makes both.
func digest(args []any) string {
	var h maphash.Hash
	h.SetSeed(seed)
	var size [binary.MaxVarintLen64]byte
	for _, arg := range args {
		switch arg := arg.(type) {
		case int64:
			_, _ = h.Write(binary.AppendVarint(size[:0], arg)) // a hash takes all
		case string:
			_, _ = h.Write(binary.AppendUvarint(size[:0], uint64(len(arg))))
			_, _ = h.WriteString(arg)
		case *string:
			_, _ = h.Write(binary.AppendUvarint(size[:0], uint64(len(*arg))))
			_, _ = h.WriteString(*arg)
		case *blob:
			_, _ = h.Write(binary.AppendUvarint(size[:0], uint64(len(*arg))))
			_, _ = h.Write(*arg)
		}
	}
	return strconv.FormatUint(h.Sum64(), 16)
}
