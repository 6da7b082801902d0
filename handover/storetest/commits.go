//nolint:thelper // these are tests: a failure names their lines
package storetest

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher/handover"
)

// everything is a commit that does all that a commit can, to thread 0 of a
// partition. It consumes what waits there.
func (b *bench) everything(t *testing.T, lease handover.Lease) handover.Commit {
	t.Helper()
	batch := b.read(t, lease.Partition, 100)
	thread := threadIn(lease.Partition, 0).String()
	c := handover.Commit{
		Lease: lease, Now: batch.Now, Consumed: batch.Entries,
		Threads:  []handover.ThreadWrite{{Thread: thread, Body: []byte(`{"phase":"human"}`), Wake: batch.Now.Add(time.Hour)}},
		Put:      []handover.Pending{{ID: "said", Body: []byte(`{"thread":"` + thread + `"}`)}, {ID: "echoed", Body: []byte("{}")}},
		Drop:     []string{"settled"},
		Echoed:   []string{"echoed"},
		History:  []handover.HistoryWrite{{Thread: thread, Body: []byte("line 1")}, {Thread: thread, Body: []byte("line 2")}},
		Buried:   []handover.Buried{{Thread: thread, Cause: "panic", Body: []byte("poison"), At: batch.Now}},
		Episodes: [][]byte{[]byte(`{"thread":"` + thread + `","n":1}`)},
	}
	return c
}

func aCommitIsAppliedWhole(t *testing.T, b *bench) {
	key := threadIn(1, 0)
	lease := b.acquire(t, 1, "owner")
	b.commit(t, &lease, handover.Commit{Put: []handover.Pending{{ID: "settled", Body: []byte("{}")}}})
	b.append(t, key, "a")
	c := b.everything(t, lease)
	done := b.commit(t, &lease, c)
	wantEqual(t, "known effects", done.Known, []string{"echoed"})

	bodies, err := b.Load(t.Context(), 1, []string{"1:1", key.String()})
	must(t, err)
	wantEqual(t, "loaded threads", bodies, [][]byte{nil, c.Threads[0].Body})
	pending, err := b.Outbox(t.Context(), 1)
	must(t, err)
	wantEqual(t, "outbox", pending, c.Put[:1])
	body, history, own, buried, err := b.Thread(t.Context(), key)
	must(t, err)
	wantEqual(t, "thread", string(body), string(c.Threads[0].Body))
	wantEqual(t, "history", strs(history), []string{"line 1", "line 2"})
	wantEqual(t, "pending effects of the thread", strs(own), []string{string(c.Put[0].Body)})
	wantEqual(t, "set aside of the thread", buried, c.Buried)
	all, err := b.Buried(t.Context(), 10)
	must(t, err)
	wantEqual(t, "set aside", all, c.Buried)
	episodes, err := b.Episodes(t.Context(), 10)
	must(t, err)
	wantEqual(t, "episodes", episodes, c.Episodes)
	batch := b.read(t, 1, 100)
	wantEqual(t, "entries", len(batch.Entries), 0)
	wantEqual(t, "next timer", batch.NextDue, c.Threads[0].Wake)

	must(t, b.Release(t.Context(), lease, true))
	next := b.acquire(t, 1, "next")
	wantEqual(t, "next lease", next, handover.Lease{Partition: 1, Token: "next", Epoch: 2, Seq: 2, Clean: true})
}

// refuse checks that a commit is refused and changes nothing.
func (b *bench) refuse(t *testing.T, what string, c handover.Commit, want error) {
	t.Helper()
	before := b.snapshot(t, c.Lease.Partition)
	done, err := b.Commit(t.Context(), c)
	wantError(t, what, err, want)
	wantEqual(t, "answer to "+what, done, handover.Committed{})
	wantEqual(t, "partition after "+what, b.snapshot(t, c.Lease.Partition), before)
}

func aZombieIsRefused(t *testing.T, b *bench) {
	zombie := b.acquire(t, 3, "zombie")
	b.append(t, threadIn(3, 0), "a")
	b.refuse(t, "a commit of nobody", handover.Commit{Lease: handover.Lease{Partition: 5, Token: "nobody"}}, handover.ErrLeaseLost)

	b.Advance(leaseTTL + time.Second)
	owner := b.acquire(t, 3, "owner")
	b.refuse(t, "a zombie's commit", b.everything(t, zombie), handover.ErrLeaseLost)
	b.commit(t, &owner, b.everything(t, owner))
	zombie.Seq = owner.Seq // however well it guesses
	b.append(t, threadIn(3, 0), "b")
	b.refuse(t, "a zombie's second commit", b.everything(t, zombie), handover.ErrLeaseLost)
	must(t, b.Release(t.Context(), owner, true))
	b.refuse(t, "a zombie's commit to nobody's partition", b.everything(t, zombie), handover.ErrLeaseLost)
	wantEqual(t, "refused commits", b.Refused(), int64(4))
}

// The owner believes in commits that a failover has lost, or knows nothing of
// some.
func aStaleCommitIsRefused(t *testing.T, b *bench) {
	lease := b.acquire(t, 5, "owner")
	for range 3 {
		b.commit(t, &lease, handover.Commit{Drop: []string{"x"}})
	}
	b.append(t, threadIn(5, 0), "a")
	for what, seq := range map[string]int64{"a commit ahead": 4, "a commit behind": 1, "another commit in the place of the last": 2} {
		c := b.everything(t, lease)
		c.Lease.Seq = seq
		b.refuse(t, what, c, handover.ErrStale)
	}
	b.commit(t, &lease, b.everything(t, lease))
	wantEqual(t, "commits refused for the lease", b.Refused(), int64(0))
}

// The owner has read what a failover has lost. It is offered again, before it is
// committed or after: it is known by then, and what else came is not lost with it.
func whatIsLostIsKnownWhenItComesAgain(t *testing.T, b *bench) {
	key := threadIn(9, 0)
	lease := b.acquire(t, 9, "owner")
	b.append(t, key, "a", "b")
	c := b.everything(t, lease)
	for i := range c.Consumed {
		c.Consumed[i].ID = strings.Split(c.Consumed[i].ID, "-")[0] + "-" + strconv.Itoa(7+i) // which are not there
	}
	b.append(t, key, "c")
	b.commit(t, &lease, c)
	wantEqual(t, "new events", b.mids(t, 9), []string{"c"})
	b.append(t, key, "b", "d", "a")
	wantEqual(t, "new events after a repeat", b.mids(t, 9), []string{"c", "d"})
	b.consume(t, &lease)
	wantEqual(t, "entries left", len(b.read(t, 9, 100).Entries), 0)
}

func oneOfManyCommits(t *testing.T, b *bench) {
	lease := b.acquire(t, 7, "owner")
	var applied, stale atomic.Int32
	var wg sync.WaitGroup
	for _, id := range numbered("effect", 16) {
		wg.Go(func() {
			_, err := b.Commit(t.Context(), handover.Commit{Lease: lease, Put: []handover.Pending{{ID: id, Body: []byte("{}")}}})
			if err == nil {
				applied.Add(1)
				return
			}
			wantError(t, "Commit()", err, handover.ErrStale)
			stale.Add(1)
		})
	}
	wg.Wait()
	pending, err := b.Outbox(t.Context(), 7)
	must(t, err)
	wantEqual(t, "applied, refused, stored", []int{int(applied.Load()), int(stale.Load()), len(pending)}, []int{1, 15, 1})
}

// A client sends again what it saw no reply to.
func everythingMayBeRepeated(t *testing.T, b *bench) {
	const p = 9
	ctx := t.Context()
	thread := threadIn(p, 0)
	lease := b.acquire(t, p, "owner")
	repeat := func(what string, do func() (any, error)) {
		t.Helper()
		first, err := do()
		must(t, err)
		before := b.snapshot(t, p)
		for range 2 {
			again, err := do()
			must(t, err)
			wantEqual(t, "answer to a repeated "+what, again, first)
		}
		wantEqual(t, "partition after a repeated "+what, b.snapshot(t, p), before)
	}
	repeat("append", func() (any, error) { return nil, b.Append(ctx, messages(thread, "a", "b")) })
	repeat("command", func() (any, error) { return nil, b.Command(ctx, thread, "c1", []byte("{}")) })
	c := b.everything(t, lease)
	repeat("commit", func() (any, error) { done, err := b.Commit(ctx, c); return fmt.Sprint(done), err })
	lease.Seq++
	b.commit(t, &lease, handover.Commit{Drop: []string{"x"}})
	b.refuse(t, "a repeat of the last commit but one", c, handover.ErrStale)

	repeat("renewal", func() (any, error) {
		_, lost, err := b.Renew(ctx, []handover.Lease{lease}, leaseTTL)
		return len(lost), err
	})
	repeat("heartbeat", func() (any, error) { live, err := b.Heartbeat(ctx, "me", leaseTTL); return fmt.Sprint(live), err })
	repeat("leave", func() (any, error) { return nil, b.Leave(ctx, "me") })
	repeat("release", func() (any, error) { return nil, b.Release(ctx, lease, true) })
	repeat("acquisition", func() (any, error) {
		lease, held, err := b.Acquire(ctx, p, "again", leaseTTL)
		return fmt.Sprint(lease, held), err
	})
	repeat("forget", func() (any, error) { return nil, b.Forget(ctx, thread) })
	b.refuse(t, "a repeat of a commit of the owner before", c, handover.ErrLeaseLost)
}

func whatIsNoEntryIsRefused(t *testing.T, b *bench) {
	lease := b.acquire(t, 11, "owner")
	b.append(t, threadIn(11, 0), "a")
	for _, id := range []string{"", "x", "1-", "-1", "1-2-3", "1-x"} {
		before := b.snapshot(t, 11)
		c := b.everything(t, lease)
		c.Consumed = append([]handover.Entry{{ID: id}}, c.Consumed...)
		if _, err := b.Commit(t.Context(), c); err == nil {
			t.Errorf("Commit(%q) = nil, want an error", id)
		}
		wantEqual(t, "partition after entry "+id, b.snapshot(t, 11), before)
	}
}

func anyBytesAreStored(t *testing.T, b *bench) {
	lease := b.acquire(t, 13, "owner")
	thread := threadIn(13, 0)
	for what, body := range map[string]string{
		"nothing": "", "nul": "\x00", "not_utf8": "\xff\xfe", "crlf": "a\r\n$5\r\n", "digits": "9007199254740993",
		"large": strings.Repeat("🙂", 64<<10), "one": "1", "comma": ",", "false": "false",
	} {
		b.commit(t, &lease, handover.Commit{
			Threads: []handover.ThreadWrite{{Thread: thread.String(), Body: []byte(body)}},
			Put:     []handover.Pending{{ID: "id" + body, Body: []byte(body)}},
			History: []handover.HistoryWrite{{Thread: thread.String(), Body: []byte(body)}},
		})
		bodies, err := b.Load(t.Context(), 13, []string{thread.String()})
		must(t, err)
		if len(bodies) != 1 || bodies[0] == nil || string(bodies[0]) != body {
			t.Errorf("%s: thread = %q, want %q", what, bodies, body)
		}
		pending, err := b.Outbox(t.Context(), 13)
		must(t, err)
		wantEqual(t, what+" in the outbox", pending, []handover.Pending{{ID: "id" + body, Body: []byte(body)}})
		_, history, _, _, err := b.Thread(t.Context(), thread)
		must(t, err)
		wantEqual(t, what+" in the history", string(history[len(history)-1]), body)
		b.commit(t, &lease, handover.Commit{Drop: []string{"id" + body}})
	}
}

// No list of a commit has a bound.
func aHugeCommit(t *testing.T, b *bench) {
	const p, many = 15, 3001
	lease := b.acquire(t, p, "owner")
	wake := b.read(t, p, 0).Now.Add(time.Hour)
	c := handover.Commit{Echoed: numbered("echo", many), Drop: numbered("gone", many)}
	for i, id := range numbered("effect", many) {
		c.Put = append(c.Put, handover.Pending{ID: id, Body: []byte("{}")})
		thread := fmt.Sprint("1:", i%1500)
		c.History = append(c.History, handover.HistoryWrite{Thread: thread, Body: []byte(id)})
		if i < 1500 {
			c.Threads = append(c.Threads, handover.ThreadWrite{Thread: thread, Body: []byte(id), Wake: wake})
		}
	}
	c.Put = append(c.Put, handover.Pending{ID: "echo3000", Body: []byte("{}")})
	done := b.commit(t, &lease, c)
	wantEqual(t, "known effects", done.Known, []string{"echo3000"})
	pending, err := b.Outbox(t.Context(), p)
	must(t, err)
	wantEqual(t, "effects in the outbox", len(pending), many)
	bodies, err := b.Load(t.Context(), p, []string{"1:0", "1:1499"})
	must(t, err)
	wantEqual(t, "threads", strs(bodies), []string{"effect0", "effect1499"})

	c.Put, c.Drop, c.Threads = nil, numbered("effect", many), nil
	b.commit(t, &lease, c)
	pending, err = b.Outbox(t.Context(), p)
	must(t, err)
	wantEqual(t, "effects in the outbox after all were settled", len(pending), 0)
}
