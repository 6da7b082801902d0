package handover

import (
	"errors"
	"time"
)

// A partition's life in a store: the values that a shell and a store exchange,
// and the errors that a store answers in. Threads are opaque text here
// ("page:psid"), bodies are opaque bytes.

// Errors of a store.
var (
	// ErrLeaseLost reports that another process owns the partition, or nobody:
	// nothing was written, and whatever is cached of the partition is worthless.
	ErrLeaseLost = errors.New("lease lost")
	// ErrStale reports that the store is not where the caller believes it to be
	// (after a failover that lost writes, say): nothing was written; reload.
	ErrStale = errors.New("store is at another step than its owner")
	// ErrNewerSchema reports data written by a newer version of Usher.
	ErrNewerSchema = errors.New("data was written by a newer version")
	// ErrPartitions reports an install-time partition count that differs.
	ErrPartitions = errors.New("partition count differs from the one stored")
)

// Lease is the proof that this process owns a partition. A store checks Token
// and Seq inside every commit.
type Lease struct {
	Partition int
	Token     string // random, drawn by the process for each acquisition
	Epoch     int64  // counts acquisitions; for people only
	Seq       int64  // commits so far
	// Clean tells that the previous owner released the partition with no call in
	// flight: its pending effects were not started.
	Clean bool
}

// EntryKind says what a stream entry holds.
type EntryKind string

// The kinds of stream entries.
const (
	EntryEvent   EntryKind = "e" // a messenger event
	EntryCommand EntryKind = "c" // an operator's command
)

// Entry is one accepted thing in a partition's stream. The same can be accepted
// again, by another ID: it is told by its marks.
type Entry struct {
	ID    string // the store's, ascending
	Kind  EntryKind
	Marks string // the store's, of what it is known by
	Body  string
	At    time.Time // when it was accepted, by the store's clock
	// Known tells that it was consumed before, or comes earlier in the batch: it is
	// consumed, and not looked at.
	Known bool
}

// Batch is what an owner reads in one go.
type Batch struct {
	Entries []Entry   // not consumed yet, oldest first
	Due     []string  // threads whose timer is due, most overdue first
	NextDue time.Time // the earliest timer that is not due; zero when there is none
	Now     time.Time // the store's clock
	Token   string    // of the lease; "" for none
	Seq     int64     // of the last commit
}

// Pending is an effect in the outbox.
type Pending struct {
	ID   string
	Body []byte
}

// ThreadWrite is a thread's next state.
type ThreadWrite struct {
	Thread string
	Body   []byte    // nil deletes the thread, its history and its timer
	Wake   time.Time // when its timer is due; zero for none
	// Keep lets its history be stored for as long again; without it only the thread is.
	Keep bool
}

// HistoryWrite appends one line to a thread's history.
type HistoryWrite struct {
	Thread string
	Body   []byte
}

// Buried is an entry set aside with its cause, for a person to look at.
type Buried struct {
	Thread string
	Cause  string
	Body   []byte
	At     time.Time
}

// Commit is the one durable step of a partition: all of it happens, or nothing.
type Commit struct {
	Lease    Lease          // Seq is the step before this one
	Consumed []Entry        // as they were read: they leave the stream, and their marks are remembered for 48 h
	Now      time.Time      // the store's clock as last read
	Threads  []ThreadWrite  // at most one for each thread
	Put      []Pending      // effects to add or to replace (by id)
	Drop     []string       // effects that are settled
	Echoed   []string       // effects whose echo came: remembered for 48 h
	History  []HistoryWrite // in order
	Buried   []Buried       // to the dlq
	Episodes [][]byte       // episodes that ended
}

// Pause is a stop of all calls of a Page, which all processes keep to: Meta takes
// no more of them.
type Pause struct {
	Left time.Duration // by the store's clock; 0 where there is no pause
	Why  string
}

// Watch is what all processes together know of the deliveries of a Page. Times are
// of the store's clock.
type Watch struct {
	Now time.Time
	// Seen are the latest minutes in which deliveries were stored, at most 64 of
	// them, oldest first; however long ago, there is one, unless none ever came.
	Seen []time.Time
	// Whole is when the Page was last found subscribed to all that we need; zero for
	// never.
	Whole time.Time
	// Owed is from when on messages may have been missed that were not looked for
	// yet; zero where none were.
	Owed time.Time
}

// Committed is a store's answer to a commit.
type Committed struct {
	Seq int64
	// Known are the ids among Put that were refused because their echo came
	// before: they were sent already, before a failover forgot so.
	Known []string
	// Left tells that entries may be left to read: they came without an
	// announcement, as the partition had some already.
	Left bool
}
