package redisstore

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"usher/handover"
)

// shelf holds what stands in the stream of a partition of our own: what this process
// has appended itself, and what its owner has seen there. So he need not read it again.
// What others append they mark in the same step (ingest.lua): as long as the mark is the
// one that was seen at the last look into the stream, all that is there stands on the
// shelf, in order.
//
// Where that is in doubt the stream is looked at; and also once a second, in case of
// something that nobody has acknowledged.
type shelf struct {
	mu      sync.Mutex
	token   string    // whose reign it is; "" for nobody's
	trusted time.Time // until when the lease is ours for sure

	entries  []shelved // not consumed yet, in order
	top      entryID   // of all that have been here
	mark     string    // of others, as of the last look
	lookedAt time.Time
	whole    bool // all is here, but for what bears another mark
	doubts   int
}

// shelved is an entry with its id, read.
type shelved struct {
	handover.Entry

	id entryID
}

const (
	shelfRoom = 2 * 128 // entries: what waits beyond two turns is read from the stream
	lookEvery = time.Second
)

// begin makes the shelf that of a new reign.
func (s *shelf) begin(token string, trusted time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == token {
		s.trusted = trusted
		return
	}
	s.token, s.trusted, s.entries, s.whole = token, trusted, nil, false
	s.top = entryID{}
	s.doubts++
}

// prolong notes a renewal.
func (s *shelf) prolong(token string, trusted time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == token {
		s.trusted = trusted
	}
}

// end notes that the partition is not that owner's any more, and tells whether it was.
func (s *shelf) end(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token == "" || s.token != token {
		return false
	}
	s.token, s.entries, s.whole = "", nil, false
	return true
}

// owner returns the token of who has the partition, as far as this process knows.
func (s *shelf) owner() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token
}

// owned tells whether the partition has been a token's up to now, for sure.
func (s *shelf) owned(token string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token == token && now.Before(s.trusted)
}

// put adds what was appended under a token, unless it was seen in the stream meanwhile.
// Where it is not the newest, or is one too many, the stream tells.
func (s *shelf) put(token string, e handover.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, err := readEntryID(e.ID)
	_, here := slices.BinarySearchFunc(s.entries, id, func(e shelved, id entryID) int { return e.id.compare(id) })
	switch {
	case s.token != token, err == nil && here:
	case err != nil, !s.top.less(id), len(s.entries) >= shelfRoom:
		s.doubtful()
	default:
		s.entries, s.top = append(s.entries, shelved{e, id}), id
	}
}

// doubt notes that something may stand in the stream that is neither here nor marked.
func (s *shelf) doubt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubtful()
}

func (s *shelf) doubtful() {
	s.entries, s.whole = nil, false
	s.doubts++
}

// view is what a reader has of a shelf.
type view struct {
	entries []handover.Entry // up to its limit
	look    bool             // the stream has to be looked at
	mark    string           // another than this: likewise
	doubts  int
}

// view returns what a reader of up to limit entries has.
func (s *shelf) view(limit int, now time.Time) view {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := view{mark: s.mark, doubts: s.doubts, look: !s.whole || now.Sub(s.lookedAt) >= lookEvery}
	if !v.look {
		v.entries = make([]handover.Entry, min(limit, len(s.entries)))
		for i := range v.entries {
			v.entries[i] = s.entries[i].Entry
		}
	}
	return v
}

// looked notes what was seen in the stream by the owner of a view: up to limit entries,
// and the mark.
func (s *shelf) looked(v view, entries []handover.Entry, limit int, mark string, now time.Time) error {
	seen := make([]shelved, len(entries), len(entries)+1)
	for i, e := range entries {
		id, err := readEntryID(e.ID)
		if err != nil {
			return err
		}
		e.Known = false // which depends on what is read with it
		seen[i] = shelved{e, id}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.doubts != v.doubts {
		return nil // it may have been before what is in doubt
	}
	if len(entries) >= limit {
		s.doubtful() // there may be more
		return nil
	}
	if n := len(seen); n > 0 {
		for len(s.entries) > 0 && !seen[n-1].id.less(s.entries[0].id) {
			s.entries = s.entries[1:]
		}
		if s.top.less(seen[n-1].id) {
			s.top = seen[n-1].id
		}
	}
	s.entries, s.mark, s.lookedAt, s.whole = append(seen, s.entries...), mark, now, true
	return nil
}

// took notes that entries were consumed, and tells whether there may be others, with
// the mark as it is now.
func (s *shelf) took(token string, consumed []handover.Entry, mark string) (left bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token != token {
		return true, nil
	}
	n := 0
	for i := range consumed {
		id, err := readEntryID(consumed[i].ID)
		if err != nil {
			return true, err
		}
		switch {
		case n == len(s.entries) || id.less(s.entries[n].id): // it was not here
		case s.entries[n].id == id:
			n++
		default: // an older one was passed over
			s.doubtful()
			return true, nil
		}
	}
	clear(s.entries[:n]) // what was let go of is not kept
	if s.entries = s.entries[n:]; len(s.entries) == 0 {
		s.entries = nil
	}
	return !s.whole || len(s.entries) > 0 || mark != s.mark, nil
}

// entryID is the id of an entry of a stream: milliseconds, and a number among them.
type entryID struct{ ms, n uint64 }

func readEntryID(s string) (id entryID, err error) {
	ms, n, ok := strings.Cut(s, "-")
	if id.ms, err = strconv.ParseUint(ms, 10, 64); err == nil {
		id.n, err = strconv.ParseUint(n, 10, 64)
	}
	if err != nil || !ok {
		return id, fmt.Errorf("%w: entry id %q", errReply, s)
	}
	return id, nil
}

func (id entryID) compare(other entryID) int {
	return cmp.Or(cmp.Compare(id.ms, other.ms), cmp.Compare(id.n, other.n))
}

func (id entryID) less(other entryID) bool { return id.compare(other) < 0 }
