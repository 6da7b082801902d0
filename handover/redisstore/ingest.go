package redisstore

import (
	"context"
	"crypto/sha256"
	_ "embed" // ingest.lua
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/handover"
	"usher/messenger"
)

//go:embed ingest.lua
var ingestSource string

var ingestScript = redis.NewScript(ingestSource)

// What passes by itself, a failover or a slot on its way to another node, is
// tried again for about three seconds, as long as ctx allows.
const (
	ingestAttempts = 12
	ingestPause    = 10 * time.Millisecond // doubles
	ingestMaxPause = 400 * time.Millisecond
)

var (
	// ErrNotReplicated reports that too few replicas confirmed in time. The events
	// are stored, but must be offered again: a repeat is no duplicate.
	ErrNotReplicated = errors.New("not confirmed by enough replicas")
	// errNoID reports an event that could not be told from its duplicates.
	errNoID = errors.New("event has no id")
)

// Append stores events in their partitions' streams. It returns nil only if all are
// stored as Options.Durability says. After an error some may be stored: the same
// events are to be offered again.
//
// However often an event comes within Options.Horizon, and under whichever of its
// ids, [Store.Read] tells it to be new once: one that has aliases is known where any
// of them is.
func (s *Store) Append(ctx context.Context, events []messenger.Event) error {
	var deposits []*deposit
	at := make(map[int]*deposit)
	for i := range events {
		e := &events[i]
		if e.ID == "" {
			return fmt.Errorf("append %s of %s: %w", e.Kind, e.Thread, errNoID)
		}
		body, err := e.Marshal()
		if err != nil {
			return fmt.Errorf("append %s of %s: %w", e.Kind, e.Thread, err)
		}
		p := e.Thread.Partition(len(s.partitions))
		if at[p] == nil {
			at[p] = s.deposit(p)
			deposits = append(deposits, at[p])
		}
		at[p].add(handover.EntryEvent, body, e.ID, e.Aliases...)
	}
	return s.ingest(ctx, deposits)
}

// Command stores an operator's command for a thread in its partition's stream.
// The id, which the caller draws, makes a repeat known within Options.Horizon.
func (s *Store) Command(ctx context.Context, key messenger.ThreadKey, id string, body []byte) error {
	if id == "" {
		return fmt.Errorf("append command for %s: %w", key, errNoID)
	}
	d := s.deposit(key.Partition(len(s.partitions)))
	d.add(handover.EntryCommand, body, "command:"+id)
	return s.ingest(ctx, []*deposit{d})
}

// deposit is what is to be stored in one partition at once.
type deposit struct {
	partition *partition
	owner     string // our token, where the partition is ours
	args      []any  // of each entry: kind, body, marks
	whole     bool   // Redis needs the script's source
	err       error  // of the last attempt
}

func (s *Store) deposit(p int) *deposit {
	return &deposit{partition: &s.partitions[p], owner: s.shelves[p].owner()}
}

func (d *deposit) add(kind handover.EntryKind, body []byte, id string, aliases ...string) {
	marks := appendMark(make([]byte, 0, markSize*(1+len(aliases))), id)
	for _, alias := range aliases {
		marks = appendMark(marks, alias)
	}
	d.args = append(d.args, kind, body, marks)
}

// markSize is the size of a mark, in bytes.
const markSize = 16

// appendMark appends what is remembered of an id: half the memory of a mid.
func appendMark(marks []byte, id string) []byte {
	sum := sha256.Sum256([]byte(id))
	return append(marks, sum[:markSize]...)
}

// ingest makes deposits until all are stored, or one cannot be.
func (s *Store) ingest(ctx context.Context, deposits []*deposit) error {
	pause := ingestPause
	for attempt := 1; ; attempt++ {
		s.send(ctx, deposits)
		var again []*deposit
		wait := false
		for _, d := range deposits {
			switch {
			case d.err == nil:
				continue
			case forgotten(d.err) && !d.whole:
				d.whole = true
			case passing(d.err):
				wait = true
			default:
				return d.failed()
			}
			again = append(again, d)
		}
		if len(again) == 0 {
			return nil
		}
		if attempt == ingestAttempts {
			return again[0].failed()
		}
		if wait {
			if err := s.pause(ctx, pause); err != nil {
				return errors.Join(again[0].failed(), err)
			}
			pause = min(2*pause, ingestMaxPause)
		}
		deposits = again
	}
}

func (d *deposit) failed() error {
	return fmt.Errorf("store in partition %s: %w", d.partition.number, d.err)
}

// send makes one attempt at each deposit, in round trips that others share.
func (s *Store) send(ctx context.Context, deposits []*deposit) {
	errands := make([][]*errand, len(deposits))
	byLane := make(map[*lane][]*errand, 1)
	for i, d := range deposits {
		lane, err := s.doors.to(ctx, d.partition.in)
		if err != nil {
			d.err = err
			continue
		}
		errands[i] = s.appending(ctx, d)
		byLane[lane] = append(byLane[lane], errands[i]...)
	}
	for lane, together := range byLane {
		lane.start(together...) //nolint:contextcheck // a flight is nobody's alone
	}
	for i, all := range errands {
		if all == nil {
			continue
		}
		before := deposits[i].err
		if deposits[i].err = s.sent(ctx, deposits[i], all); before != nil && ctx.Err() != nil {
			deposits[i].err = errors.Join(before, deposits[i].err) // why there was no time left
		}
	}
}

// appending returns the commands that make a deposit: ingest.lua, but in a partition of
// our own, where each entry is one XADD, and goes on the shelf.
func (s *Store) appending(ctx context.Context, d *deposit) []*errand {
	if d.owner != "" {
		errands := make([]*errand, 0, len(d.args)/3)
		for args := range slices.Chunk(d.args, 3) {
			kind, _ := args[0].(handover.EntryKind)
			body, _ := args[1].([]byte)
			marks, _ := args[2].([]byte)
			e := newErrand(redis.NewCmd(ctx, "xadd", d.partition.in, "*", "k", string(kind), "b", body, "m", marks))
			e.landed = func() { s.shelve(d, e.cmd, handover.Entry{Kind: kind, Body: string(body), Marks: string(marks)}) }
			errands = append(errands, e)
		}
		return errands
	}
	const before = 3
	args := append(evalSha(ingestScript, []any{d.partition.in, d.partition.meta}, before+len(d.args)), s.keys.wake(), d.partition.number, s.marks.next())
	if d.whole {
		args[0], args[1] = "eval", ingestSource
	}
	for _, arg := range d.args {
		if kind, ok := arg.(handover.EntryKind); ok {
			arg = string(kind)
		}
		args = append(args, arg)
	}
	return []*errand{newErrand(redis.NewCmd(ctx, args...))}
}

// shelve puts what was appended where its owner finds it. What may have been appended
// its owner has to look for.
func (s *Store) shelve(d *deposit, appended *redis.Cmd, e handover.Entry) {
	shelf := &s.shelves[d.partition.n]
	id, err := appended.Text()
	if err == nil {
		e.ID = id
		e.At, err = acceptedAt(id)
	}
	if err != nil {
		shelf.doubt()
		s.tell(d.partition.n)
		return
	}
	shelf.put(d.owner, e)
}

// sent looks at what became of a deposit.
func (s *Store) sent(ctx context.Context, d *deposit, errands []*errand) error {
	for _, e := range errands {
		if err := e.result(ctx); err != nil {
			return err
		}
	}
	if n := errands[0].confirmed; n != nil && n.Val() < int64(s.Replicas) {
		return errors.Join(fmt.Errorf("%w: %d of %d within %v", ErrNotReplicated, n.Val(), s.Replicas, s.WaitTimeout), n.Err())
	}
	switch {
	case d.owner == "": // the script has told its owner
	case s.shelves[d.partition.n].owned(d.owner, s.now()):
		s.tell(d.partition.n)
	default: // it may have been another's by then, who does not know of it
		return s.announce(ctx, d.partition.n)
	}
	return nil
}

// marker makes marks, see ingest.lua.
type marker struct {
	process string // random
	made    atomic.Int64
}

func (m *marker) next() string { return m.process + strconv.FormatInt(m.made.Add(1), 36) }

// wait returns the WAIT that Options.Durability asks for.
func (s *Store) wait() *redis.IntCmd {
	return redis.NewIntCmd(context.Background(), "wait", s.Replicas, s.WaitTimeout.Milliseconds())
}

// writer returns how to find the node that a key's writes go to.
func writer(rdb redis.UniversalClient) (func(ctx context.Context, key string) (*redis.Client, error), error) {
	switch rdb := rdb.(type) {
	case *redis.Client:
		return func(context.Context, string) (*redis.Client, error) { return rdb, nil }, nil
	case *redis.ClusterClient:
		return rdb.MasterForKey, nil
	}
	return nil, fmt.Errorf("%w: want a *redis.Client or a *redis.ClusterClient, not a %T", errOption, rdb)
}

// passing tells whether an error is of a moment in which Redis changes: a
// failover, a start, a slot that moves.
func passing(err error) bool {
	for _, prefix := range []string{"TRYAGAIN", "LOADING", "READONLY", "MOVED", "ASK", "CLUSTERDOWN", "MASTERDOWN"} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}

// pause waits, and looks where the nodes are by now.
func (s *Store) pause(ctx context.Context, d time.Duration) error {
	if cluster, ok := s.rdb.(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
